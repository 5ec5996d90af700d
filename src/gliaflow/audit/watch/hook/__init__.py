"""The folder that is put before PYTHONPATH of a stage: it holds what Python runs when it starts, and nothing else."""
