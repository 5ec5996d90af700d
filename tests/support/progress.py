"""What a command prints beside how far it is, which it says on a slow machine alone."""

import re

HOW_FAR = re.compile(r"[\w ]+: [\d,]+ of [\d,]+ \w+ \(\d+ %\)")


def without_progress(stderr: str) -> list[str]:
    """The lines of standard error that are no line of a progress bar."""
    return [line for line in stderr.splitlines() if not HOW_FAR.match(line)]
