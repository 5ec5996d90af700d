"""`python -m gliaflow`, and the console command."""


def main() -> None:
    """Run the command line."""
    from gliaflow.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
