"""Layers that were trained before: how they get into a network, and what they are worth."""
