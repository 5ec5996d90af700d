"""`gliaflow ui`: Prefect's pages, with every run of this machine."""

import threading
import webbrowser
from contextlib import suppress
from typing import Annotated

from cyclopts import Parameter

from gliaflow.cli.flags import Switch


def ui(*, browse: Annotated[Switch, Parameter(name="--open")] = False) -> None:
    """Show Prefect's pages, with every run of this machine, until Ctrl-C.

    Where PREFECT_API_URL names a server, its address is printed, and nothing is started.

    Example: gliaflow ui --open

    Args:
        browse: Open the pages in a browser.
    """
    from gliaflow.flow.pages import pages

    with suppress(KeyboardInterrupt), pages() as shown:
        print(f"{shown.url} (Ctrl-C ends it)" if shown.ours else shown.url, flush=True)
        if browse:
            webbrowser.open(shown.url)
        if shown.ours:
            threading.Event().wait()
