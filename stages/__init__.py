"""The computations: each stage of `dvc.yaml` is a module here, and knows neither DVC nor Prefect."""
