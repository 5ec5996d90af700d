"""This host: its slots, its processes, git, and trying again."""
