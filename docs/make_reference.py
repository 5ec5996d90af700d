"""Write docs/reference/cli.md and api.md from the code.

    python -m docs.make_reference

Commands come from the command line's own description of itself, the API from signatures and docstrings.
"""

import re
import sys
from pathlib import Path

from docs import api_page
from gliaflow.cli.app import COMMANDS, MAY_FOLLOW, app

FOLDER = Path(__file__).parent / "reference"
MADE = "<!-- Written by docs/make_reference.py: change the code, or that script. -->"
EXAMPLE = re.compile(r"^Example: (.+)$", re.MULTILINE)

CLI = f"""# Commands

{MADE}

`gliaflow COMMAND --help` says the same as this page. `gliaflow --version` prints the version.
[Exit codes and environment](environment.md) says what an exit code means, and which variables count.
"""
API = f"""# Python API

{MADE}

```python
import gliaflow

report = gliaflow.reproduce("path/to/repository", jobs=4)
print(report.reproduced)
```

Every name on this page can be imported from `gliaflow`. It is loaded when it is first asked for: `import gliaflow`
loads neither DVC nor Prefect. The package has types (`py.typed`).
"""


def cli() -> str:
    """The page of the commands."""
    return "\n".join([CLI, *(_command(name) for names in COMMANDS.values() for name in names)])


def _command(name: str) -> str:
    program = "gliaflow" if name in MAY_FOLLOW else f"gliaflow {name}"  # a usage of our own names the command itself
    text = str(app[name].generate_docs(heading_level=2, usage_name=program))
    text = text.replace(f"## {name}\n", f"## gliaflow {name}\n", 1).rstrip()
    return EXAMPLE.sub(r"```sh\n\1\n```", text) + "\n"


def pages() -> dict[str, str]:
    """The text of each page, by file."""
    return {"cli.md": cli(), "api.md": api_page.page(API)}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
        print(f"wrote {FOLDER / name}", file=sys.stderr)
