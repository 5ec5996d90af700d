"""Sends what journals hold to a Prefect server, beside the runs and never in their way."""
