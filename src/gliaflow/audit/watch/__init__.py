"""... while they run: which files they open."""
