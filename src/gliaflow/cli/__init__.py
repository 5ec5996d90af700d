"""The command `gliaflow`; the only room with cyclopts and rich."""
