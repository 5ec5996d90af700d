"""Reading the archive: its directory, the pixels of its files, and their size."""
