"""Which Prefect server is configured, found without importing Prefect.

The environment comes first, then the active profile. Prefect would also read `.env`, `prefect.toml` and
`pyproject.toml` of the working directory; that is somebody's repository, so nothing here does.
"""

import base64
import json
import os
import sys
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gliaflow.journal.folder import home

NAMES = (
    "PREFECT_API_URL",
    "PREFECT_API_KEY",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_TLS_INSECURE_SKIP_VERIFY",
    "PREFECT_API_SSL_CERT_FILE",
    "PREFECT_CLIENT_CUSTOM_HEADERS",
    "PREFECT_UI_URL",
)
THIS_MACHINE = "this machine"  # what marks of journals call its own server, whose address is another one each time
BUILT_IN = {"local": {"PREFECT_API_URL": "http://127.0.0.1:4200/api"}}  # profiles that Prefect brings
YES = ("1", "true", "yes", "on", "t", "y")
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Server:
    """A Prefect server, and what a client of it has to know."""

    url: str
    """The address of its API."""
    place: str = ""
    """Where the address is set, as a phrase."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What each request has to carry; secrets among it."""
    verify: bool = True
    """Whether the server must prove who it is."""
    certificates: str = ""
    """A file of certificates to trust; the usual ones if empty."""
    pages: str = ""
    """The address of its pages."""

    @property
    def wrong(self) -> str:
        """Why nothing can be reached under the address, as a phrase; nothing if it may be right."""
        try:
            parts = urlsplit(self.url)
            fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            fine = False
        return "" if fine else f"'{self.url}' is no address of a server: it must begin with http:// or https://"

    @property
    def local(self) -> bool:
        """Whether it is on this machine."""
        return urlsplit(self.url).hostname in LOCAL


def configured(environment: Mapping[str, str] = os.environ) -> Server | None:
    """The server that the environment or the active profile names; None if there is none.

    Where Prefect is imported already, what it has in force counts: a caller may have set it for a block.
    """
    if _imported():
        return _in_force()
    profile, place = _profile(environment)
    found = {name: profile[name] for name in NAMES if profile.get(name)}
    found |= {name: environment[name] for name in NAMES if environment.get(name)}
    if not found.get("PREFECT_API_URL"):
        return None
    by_environment = bool(environment.get("PREFECT_API_URL"))
    return _server(found, "PREFECT_API_URL in the environment" if by_environment else place)


def _imported() -> bool:
    return "prefect.settings" in sys.modules


def _server(found: Mapping[str, str], place: str) -> Server:
    headers: dict[str, str] = {}
    if extra := found.get("PREFECT_CLIENT_CUSTOM_HEADERS"):
        with suppress(ValueError, AttributeError):  # with which Prefect would not start
            headers |= {str(name): str(value) for name, value in json.loads(extra).items()}
    if password := found.get("PREFECT_API_AUTH_STRING"):
        headers["Authorization"] = f"Basic {base64.b64encode(password.encode()).decode()}"
    elif key := found.get("PREFECT_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    url = found["PREFECT_API_URL"].strip().rstrip("/")
    return Server(
        url,
        place,
        headers,
        found.get("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "").lower() not in YES,
        found.get("PREFECT_API_SSL_CERT_FILE", ""),
        found.get("PREFECT_UI_URL") or url.removesuffix("/api"),
    )


def _profile(environment: Mapping[str, str]) -> tuple[Mapping[str, str], str]:
    """The settings of the active profile, and where they stand; none where there is no profile or it cannot be read."""
    path = Path(environment.get("PREFECT_PROFILES_PATH") or home(environment) / "profiles.toml").expanduser()
    try:
        read = tomllib.loads(path.read_text())
    except (OSError, ValueError):
        read = {}
    name = environment.get("PREFECT_PROFILE") or read.get("active") or ""
    profiles = read.get("profiles")
    found = (profiles.get(name) if isinstance(profiles, dict) else None) or BUILT_IN.get(name) or {}
    settings = {key: str(value) for key, value in found.items()} if isinstance(found, dict) else {}
    return settings, f"PREFECT_API_URL of the profile '{name}' in {path}"


def _in_force() -> Server | None:
    now: Any = sys.modules["prefect.settings"].get_current_settings()
    if not now.api.url:
        return None
    found = {
        "PREFECT_API_URL": now.api.url,
        "PREFECT_API_KEY": now.api.key.get_secret_value() if now.api.key else "",
        "PREFECT_API_AUTH_STRING": now.api.auth_string.get_secret_value() if now.api.auth_string else "",
        "PREFECT_API_TLS_INSECURE_SKIP_VERIFY": str(now.api.tls_insecure_skip_verify),
        "PREFECT_API_SSL_CERT_FILE": now.api.ssl_cert_file or "",
        "PREFECT_CLIENT_CUSTOM_HEADERS": json.dumps(now.client.custom_headers),
        "PREFECT_UI_URL": now.ui_url or "",
    }
    return _server(found, "PREFECT_API_URL in Prefect's settings")
