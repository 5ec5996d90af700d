"""Which file is whose: what the names of files say, before any pixel is read."""
