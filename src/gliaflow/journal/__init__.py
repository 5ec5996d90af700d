"""What a run tells, kept as a file of its own, and read again."""
