"""Fetch a pinned version of the LGG data set from Kaggle, trying again what may pass.

In: Kaggle's API through its own client, which supplies token, endpoint and a signed link; the storage behind the link.
Out: archive.zip in a folder that outlives the process, so that stages.lgg.source.transfer can go on with it.

No message quotes a server, a link or a foreign exception: any of these may hold the token or a signature.
"""

import io
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import requests

from stages.errors import Refused, TransientError
from stages.lgg.source.transfer import Fault, Remote, complete, describe, size_bytes

OWNER, DATASET = "mateuszbuda", "lgg-mri-segmentation"
PAGE = f"https://www.kaggle.com/datasets/{OWNER}/{DATASET}"
TOKENS = "https://www.kaggle.com/settings"
HOW_TO_GIVE_IT = "set KAGGLE_API_TOKEN to it, or save it as ~/.kaggle/access_token"
WAITS_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
LONGEST_WAIT_SECONDS = 300.0
# With these set, kaggle prints its requests, token included, or sends them to another host.
UNSAFE_VARIABLES = ("VERBOSE", "VERBOSE_OUTPUT", "KAGGLE_API_ENVIRONMENT")


def fetch(version: int, folder: Path, *, waits: Sequence[float] = WAITS_SECONDS) -> Path:
    """Download `version` of the data set into `folder`, or what earlier calls left of it; return the archive's path.

    A failure that may pass (a connection refused or cut, a body too short, 408, 429, 5xx) is tried again after each
    of `waits` seconds in turn, half as long to half as long again, or when Retry-After says; the count of failures
    starts again whenever bytes arrived.

    Raises:
        Refused: no token or a wrong one, no such version, or no archive behind the link.
        TransientError: the last try failed too; the part is kept, and the next call continues it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part, failures = folder / "archive.zip", 0
    while True:
        before = size_bytes(part)
        try:
            with _faults(version):
                complete(*_signed_link(version), part)
        except Fault as fault:
            kept = size_bytes(part)
            failures = 1 if kept > before else failures + 1
            if failures > len(waits) or fault.wait_seconds > LONGEST_WAIT_SECONDS:
                raise TransientError(f"Kaggle: {fault}; the {kept} bytes so far are kept: run again") from None
            pause = max(fault.wait_seconds, waits[failures - 1] * random.uniform(0.5, 1.5))
            print(f"Kaggle: {fault}; trying again in {pause:.0f} s", file=sys.stderr)
            time.sleep(pause)
        else:
            return part


def newest() -> int:
    """The number of the version that Kaggle shows now.

    Raises:
        Refused: no token or a wrong one.
        TransientError: Kaggle does not answer.
    """
    try:
        with redirect_stdout(io.StringIO()), _faults(0):
            api = _api()
            from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest

            request = ApiGetDatasetRequest()
            request.owner_slug, request.dataset_slug = OWNER, DATASET
            with _token_unquoted():
                _sign_in(api)
                with api.build_kaggle_client() as client:
                    return int(client.datasets.dataset_api_client.get_dataset(request).current_version_number)
    except Fault as fault:
        raise TransientError(f"Kaggle: {fault}") from None


def _signed_link(version: int) -> tuple[str, Remote]:
    """Where the storage serves the archive for a while, and which object that is; the body stays unread."""
    with redirect_stdout(io.StringIO()):  # kaggle prints help and warnings
        api = _api()
        from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

        request = ApiDownloadDatasetRequest()
        request.owner_slug, request.dataset_slug, request.dataset_version_number = OWNER, DATASET, version
        with _token_unquoted():
            _sign_in(api)
            with api.build_kaggle_client() as client:
                response = client.datasets.dataset_api_client.download_dataset(request)
    response.close()
    if not response.history or "text/html" in response.headers.get("Content-Type", ""):
        raise Refused(f"Kaggle sent a page instead of the archive; sign in and look at {PAGE}")
    return response.url, describe(response)


def _api() -> Any:
    """Kaggle's client, which reads the environment and signs in already when it is imported."""
    unsafe = {name: os.environ.pop(name) for name in UNSAFE_VARIABLES if name in os.environ}
    try:
        from kaggle.api.kaggle_api_extended import KaggleApi
    finally:
        os.environ.update(unsafe)
    return KaggleApi()


def _sign_in(api: Any) -> None:
    """Take whichever token there is; without one kaggle prints a page of help and exits."""
    from kagglesdk import get_access_token_from_env

    try:
        api.authenticate()
    except SystemExit:
        if get_access_token_from_env()[0]:
            raise Refused(f"Kaggle does not know the token; make a new one at {TOKENS}") from None
        raise Refused(f"no Kaggle token; make one at {TOKENS} and {HOW_TO_GIVE_IT}") from None


@contextmanager
def _token_unquoted() -> Iterator[None]:
    """An odd token ends in errors that quote it: as a header, or as the path of a file that might hold it."""
    try:
        yield
    except requests.RequestException:  # an OSError too, but about the network
        raise
    except (OSError, ValueError):
        raise Refused(f"kaggle cannot use the token: it is too long or has odd characters; {HOW_TO_GIVE_IT}") from None


@contextmanager
def _faults(version: int) -> Iterator[None]:
    """Say what requests raises in words of our own."""
    try:
        yield
    except requests.HTTPError as error:
        error.response.close()  # kaggle leaves it open
        raise _refusal(error.response, version) from None
    except requests.RequestException as error:
        raise Fault(f"the connection failed ({type(error).__name__})") from None


def _refusal(response: requests.Response, version: int) -> Fault | Refused:
    status = response.status_code
    if status in {408, 429} or status >= 500:
        asked = response.headers.get("Retry-After", "")
        if asked.isdecimal():
            return Fault(f"the answer was {status}, asking for {asked} s", float(asked))
        return Fault(f"the answer was {status}")
    reasons = {
        401: f"does not accept the token; make a new one at {TOKENS}",
        403: f"forbids this download; make a new token at {TOKENS} and see whether {PAGE} asks for consent",
        404: f"has no version {version} of {OWNER}/{DATASET}; correct lgg.download.version",
    }
    return Refused(f"Kaggle {reasons.get(status, f'refuses the download; look at {PAGE}')} ({status})")
