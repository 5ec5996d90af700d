"""DVC's cache, run-cache and remotes."""
