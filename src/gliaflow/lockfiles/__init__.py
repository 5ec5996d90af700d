"""What DVC writes down of a run: dvc.lock, .gitignore and the records of the run-cache, byte for byte and quickly."""
