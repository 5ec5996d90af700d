"""What DVC does many times in a run, done once, with the same result."""
