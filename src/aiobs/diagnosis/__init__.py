"""What aiobs finds on this machine, and what is in its way: the checks behind ``aiobs doctor``."""

from aiobs.diagnosis.finding import Finding, Level
from aiobs.diagnosis.report import Diagnosis, diagnose

__all__ = ["Diagnosis", "Finding", "Level", "diagnose"]
