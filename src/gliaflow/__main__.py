"""`python -m gliaflow`, and the console command."""

import os
import sys


def main() -> None:
    """Run the command line; what `--version` asks needs none of it."""
    if sys.argv[1:] == ["--version"]:
        import gliaflow

        print(gliaflow.__version__)
        return
    from gliaflow.cli.app import main as run

    run()


if __name__ == "__main__":
    if sys.path[0] == os.getcwd():  # noqa: PTH109 pathlib is not imported yet: a file of that name may lie here
        del sys.path[0]  # `python -m` put it there, and a `copy.py` in a repository is not Python's
    main()
