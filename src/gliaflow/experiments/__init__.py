"""Many runs of one pipeline, each with parameters of its own: DVC experiments, side by side."""
