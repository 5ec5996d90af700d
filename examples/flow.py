"""A Prefect flow of your own around a DVC pipeline, to be copied: python flow.py FOLDER."""

import sys

from prefect import flow

import gliaflow


@flow(log_prints=True)
def computed(root: str = ".") -> list[str]:
    """Run what changed in the repository at `root`, each stage as a task of this flow; return the stages that ran."""
    report = gliaflow.reproduce(root)
    report.raise_if_failed()
    print(f"{len(report.reproduced)} stages ran")  # here goes what is to be done with the results
    return report.reproduced


if __name__ == "__main__":
    computed(*sys.argv[1:])
