"""What DVC tells, in one line: its errors, its warnings, and the place in a file that they are about."""
