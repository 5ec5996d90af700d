"""The run as Prefect sees it."""
