"""`python -m gliaflow`, and the console command."""

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
    main()
