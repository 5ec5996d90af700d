from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_UI_URL, temporary_settings

from gliaflow.flow.pages import pages


@pytest.mark.parametrize(
    ("configured", "found"),
    [
        ("http://host:4200/api", "http://host:4200"),
        ("https://example.org/prefect/api", "https://example.org/prefect"),
        ("http://host:4200", "http://host:4200"),
    ],
)
def test_a_configured_server_has_its_pages_beside_its_api(configured: str, found: str, tmp_path: Path) -> None:
    with temporary_settings({PREFECT_API_URL: configured}), pages(tmp_path) as shown:
        assert (shown.url, shown.ours) == (found, False)
        assert shown.look() == 0  # there is no run to tell, so nobody is asked


def test_pages_elsewhere_are_named_by_the_setting(tmp_path: Path) -> None:
    settings = {PREFECT_API_URL: "http://host:4200/api", PREFECT_UI_URL: "https://pages.example.org"}
    with temporary_settings(settings), pages(tmp_path) as shown:
        assert shown.url == "https://pages.example.org"


def test_without_one_there_is_the_server_of_this_machine(server: str, home: Path) -> None:
    with temporary_settings({PREFECT_API_URL: None, PREFECT_HOME: home}), pages(home) as shown:
        assert (shown.url, shown.ours) == (server.removesuffix("/api"), True)
