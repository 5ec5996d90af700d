"""Layers that were trained before: how a Keras model is altered, and what they are worth on a new task."""
