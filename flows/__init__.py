"""When and where the stages of `dvc.yaml` run, and what a person sees of it."""
