"""Versions of distributions: those that are installed, and those that aiobs supports."""

from __future__ import annotations

from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name


def installed_version(distribution: str) -> str | None:
    """None if there is no metadata of it."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def supported_versions(distribution: str) -> SpecifierSet:
    """The versions that an extra of our own package asks for; all, if none does."""
    for text in metadata.requires("aiobs") or ():
        requirement = Requirement(text)
        if canonicalize_name(requirement.name) == canonicalize_name(distribution):
            return requirement.specifier
    return SpecifierSet()
