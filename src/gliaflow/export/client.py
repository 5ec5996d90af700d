"""A client of a Prefect server that needs no Prefect: few requests, each with a limit of time, and errors in words."""

import os
import ssl
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from gliaflow.errors import one_line
from gliaflow.export.configured import Server

REQUEST_SECONDS = 10.0
CONNECT_SECONDS = 3.0
PASSWORDS = (401, 403, 407)
CSRF = ("Prefect-Csrf-Token", "Prefect-Csrf-Client")


class Unreachable(Exception):
    """The server did not do what it was asked; the message says why, as a phrase."""

    def __init__(self, why: str, doubtful: bool = False) -> None:
        super().__init__(why)
        self.doubtful = doubtful
        """Whether it may have done it all the same: only the answer is missing."""


class Client:
    """Asks one server, over connections that stay open.

    Proxies that the environment names are asked for other machines alone. What httpx would read from the environment by
    itself, and refuse to start with, is read here. The end of `with` closes the connections.

    Raises:
        Unreachable: no request can ever succeed as things are set.
    """

    def __init__(self, server: Server, environment: Mapping[str, str] = os.environ) -> None:
        if server.wrong:
            raise Unreachable(server.wrong)
        self._server, self._client_id = server, str(uuid.uuid4())
        self.proxy = "" if server.local else _proxy(server.url)
        certificates = server.certificates or environment.get("SSL_CERT_FILE", "")
        if server.certificates and not Path(server.certificates).is_file():
            raise Unreachable(f"PREFECT_API_SSL_CERT_FILE is '{server.certificates}', which is not there")
        try:
            self._http = httpx.Client(
                headers=dict(server.headers),
                timeout=httpx.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS),
                verify=_trusted(server, certificates) if server.url.startswith("https") else False,
                proxy=self.proxy or None,
                trust_env=False,
                follow_redirects=False,
            )
        except (
            ValueError,
            ImportError,
            OSError,
            httpx.InvalidURL,
        ) as error:  # such as a socks proxy without its package
            by = f" by the proxy {self.proxy}, which the environment names" if self.proxy else ""
            raise Unreachable(f"{server.url} cannot be asked{by}: {one_line(error)}") from error

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str) -> Any:
        """What the server has at `path`, from JSON."""
        return self._ask("GET", path, None)

    def post(self, path: str, data: object) -> Any:
        """What the server answers to `data`, from JSON; None if it answers nothing.

        Raises:
            Unreachable: it did not do it, or may not have.
        """
        return self._ask("POST", path, data)

    def _ask(self, method: str, path: str, data: object, again: bool = True) -> Any:
        url = f"{self._server.url}{path}"
        try:
            answer = self._http.request(method, url, json=data)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise Unreachable(f"nobody answers at {self._named()}: {_reason(error)}") from error
        except httpx.TimeoutException as error:
            raise Unreachable(f"{self._named()} does not answer", doubtful=True) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(f"{self._named()} broke off: {_reason(error)}", doubtful=True) from error
        if answer.status_code == httpx.codes.FORBIDDEN and again and "csrf" in answer.text.lower():
            self._take_token()
            return self._ask(method, path, data, again=False)
        return self._read(answer)

    def _take_token(self) -> None:
        """Get what a server wants that guards against requests from other pages."""
        token = self._ask("GET", f"/csrf-token?client={self._client_id}", None, again=False)
        self._http.headers.update(dict(zip(CSRF, (str(token["token"]), self._client_id), strict=True)))

    def _read(self, answer: httpx.Response) -> Any:
        code = answer.status_code
        if code in PASSWORDS:
            advice = "set PREFECT_API_AUTH_STRING, or PREFECT_API_KEY for Prefect Cloud"
            raise Unreachable(f"{self._named()} answers {code} and wants a password: {advice}")
        if not answer.is_success:
            raise Unreachable(f"{self._named()} answers {code}", doubtful=code >= httpx.codes.INTERNAL_SERVER_ERROR)
        if code == httpx.codes.NO_CONTENT or not answer.content:
            return None
        try:
            return answer.json()
        except ValueError:
            raise Unreachable(f"{self._named()} answers what Prefect's server does not; is it one?") from None

    def _named(self) -> str:
        place = f" ({self._server.place})" if self._server.place else ""
        return f"{self._server.url}{place}{f' by the proxy {_bare(self.proxy)}' if self.proxy else ''}"


def _trusted(server: Server, certificates: str) -> ssl.SSLContext | bool:
    """Whom to believe; the certificates of the package certifi where none are named."""
    if not server.verify:
        return False
    return ssl.create_default_context(cafile=certificates) if Path(certificates).is_file() else True


def _proxy(url: str) -> str:
    """The proxy that the environment names for an address; nothing if there is none, or none for this host."""
    parts = urlsplit(url)
    found = getproxies().get(parts.scheme) or getproxies().get("all") or ""
    try:
        return "" if not found or proxy_bypass(parts.netloc) else found if "://" in found else f"http://{found}"
    except ValueError:
        return found


def _bare(url: str) -> str:
    """The address without a user's name and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _reason(error: Exception) -> str:
    return one_line(error) or type(error).__name__
