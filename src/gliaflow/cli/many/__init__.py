"""The commands that concern many experiments at once."""
