"""Reading the archive: its directory, its patients slice by slice, and their values and size."""
