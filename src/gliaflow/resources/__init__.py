"""What a host has for stages, what they hold of it, and what they used."""
