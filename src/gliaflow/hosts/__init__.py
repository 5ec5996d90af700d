"""Stages on the hosts of a work pool: the side of the caller."""
