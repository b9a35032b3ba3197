"""Asks Prefect's API."""
