"""Data versions: a name for a commit all of whose data is on the remote."""
