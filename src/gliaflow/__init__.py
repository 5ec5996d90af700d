"""When and where the stages of `dvc.yaml` run, and what a person sees of it."""

import os

# Before Prefect and DVC are imported: neither tells anybody that it was used, unless the user wants it to.
for name, value in {"DO_NOT_TRACK": "1", "DVC_NO_ANALYTICS": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}.items():
    os.environ.setdefault(name, value)
