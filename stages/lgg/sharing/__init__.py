"""A trained network for people who have nothing of this project."""
