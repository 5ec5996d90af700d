from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_UI_URL, temporary_settings

from gliaflow.flow.pages import Pages, pages


@pytest.mark.parametrize(
    ("configured", "found"),
    [
        ("http://host:4200/api", "http://host:4200"),
        ("https://example.org/prefect/api", "https://example.org/prefect"),
        ("http://host:4200", "http://host:4200"),
    ],
)
def test_a_configured_server_has_its_pages_beside_its_api(configured: str, found: str) -> None:
    with temporary_settings({PREFECT_API_URL: configured}), pages() as shown:
        assert shown == Pages(found, ours=False)


def test_pages_elsewhere_are_named_by_the_setting() -> None:
    settings = {PREFECT_API_URL: "http://host:4200/api", PREFECT_UI_URL: "https://pages.example.org"}
    with temporary_settings(settings), pages() as shown:
        assert shown.url == "https://pages.example.org"


def test_without_one_there_is_the_server_of_this_machine(server: str, home: Path) -> None:
    with temporary_settings({PREFECT_API_URL: None, PREFECT_HOME: home}), pages() as shown:
        assert shown == Pages(server.removesuffix("/api"), ours=True)
