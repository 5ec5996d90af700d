"""What stages read and write beside what they declare: found in their code, and while they run."""
