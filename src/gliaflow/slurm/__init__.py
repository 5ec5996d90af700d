"""Stages as jobs of a Slurm cluster, in the shared workspace; DVC's work stays where the run is."""
