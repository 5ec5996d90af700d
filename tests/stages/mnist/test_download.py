"""Where the digits come from: the sample, the web (a loopback server stands in for it), the four original files."""

import gzip
import hashlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.errors import BadInput, BadParameters, GliaflowError, Refused, TransientError
from stages.mnist import download as stage
from stages.mnist.digits import Digits, read_digits, write_arrays
from stages.mnist.download import DownloadParams, download
from stages.params import load
from tests.stages.mnist.conftest import Start

TRAIN_X, TRAIN_Y = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_X, TEST_Y = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"


def idx(array: np.ndarray[Any, Any]) -> bytes:
    """The array as an idx file holds it."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def folder(digits: Digits, tmp_path: Path) -> Path:
    """The four files, of few digits."""
    arrays = [digits.x_train, digits.y_train, digits.x_test, digits.y_test]
    for name, array in zip((TRAIN_X, TRAIN_Y, TEST_X, TEST_Y), arrays, strict=True):
        (tmp_path / name).write_bytes(gzip.compress(idx(array)))
    return tmp_path


def test_the_four_files_are_read(folder: Path, digits: Digits) -> None:
    read = asdict(download(str(folder)))
    assert all(np.array_equal(array, read[name]) for name, array in asdict(digits).items())


@pytest.mark.skipif("GLIAFLOW_MNIST" not in os.environ, reason="GLIAFLOW_MNIST names no folder of MNIST's files")
def test_mnist_is_read() -> None:
    mnist = download(os.environ["GLIAFLOW_MNIST"])
    assert mnist.x_train.shape == (60_000, 28, 28)
    assert mnist.x_test.shape == (10_000, 28, 28)
    assert np.bincount(mnist.y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert mnist.y_train[:5].tolist() == [5, 0, 4, 1, 9]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (TEST_X, lambda _: None, "no such file; the folder must hold MNIST's four original files"),
        (TRAIN_X, lambda content: content, "not a whole gzip file"),
        (TRAIN_X, lambda content: gzip.compress(content)[:-20], "not a whole gzip file"),
        (TRAIN_Y, lambda content: gzip.compress(content)[:40] + b"\xff" * 40, "not a whole gzip file"),
        (TRAIN_X, lambda content: gzip.compress(content[:-1]), "announces 156800 values, holds 156799"),
        (TEST_Y, lambda content: gzip.compress(content + b"\0"), "announces 100 values, holds 101"),
        (TEST_X, lambda content: gzip.compress(b"\1" + content[1:]), "not an idx file of bytes in 3 dimensions"),
        (TEST_X, lambda content: gzip.compress(content[:2] + b"\r" + content[3:]), "not an idx file of bytes"),
        (TEST_X, lambda _: gzip.compress(idx(np.zeros(100, np.uint8))), "not an idx file of bytes in 3 dimensions"),
        (TEST_Y, lambda _: gzip.compress(b"\0\0\x08\x01\0"), "not an idx file of bytes in 1 dimensions"),
        (TEST_Y, lambda _: gzip.compress(b""), "not an idx file of bytes"),
        (TEST_X, lambda _: gzip.compress(idx(np.zeros((100, 28, 27), np.uint8))), r"images of shape \(100, 28, 27\)"),
        (TEST_X, lambda _: gzip.compress(idx(np.zeros((0, 28, 28), np.uint8))), r"images of shape \(0, 28, 28\)"),
        (TEST_Y, lambda _: gzip.compress(idx(np.zeros(99, np.uint8))), f"99 labels for 100 images in {TEST_X}"),
        (TRAIN_Y, lambda _: gzip.compress(idx(np.full(200, 10, np.uint8))), "holds the label 10; digits are 0 to 9"),
    ],
)
def test_a_damaged_file_is_named(
    name: str, change: Callable[[bytes], bytes | None], message: str, folder: Path
) -> None:
    path = folder / name
    changed = change(gzip.decompress(path.read_bytes()))
    path.unlink() if changed is None else path.write_bytes(changed)
    with pytest.raises(BadInput, match=f"{name}: .*{message}"):
        download(str(folder))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"wbe: no such folder; mnist\.download\.source is sample, web or a folder"):
        download(str(tmp_path / "wbe"))


def test_the_home_folder_may_be_written_as_a_tilde(
    folder: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert np.array_equal(download("~").y_test, digits.y_test)


@pytest.mark.parametrize("section", ["{}", "{source: ''}", "{source: 7}", "{source: sample, sorce: web}"])
def test_bad_parameters_are_refused(section: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(f"mnist: {{download: {section}}}")
    with pytest.raises(BadParameters, match=r"mnist\.download\.so"):
        load(DownloadParams, "mnist.download", tmp_path / "params.yaml")


def test_the_sample_as_a_command(start: Start, tmp_path: Path) -> None:
    processes = [start("-m", "stages.mnist.download", "--digits", f"{run}/digits.npz") for run in ("a", "b")]
    assert [(process.communicate(), process.returncode) for process in processes] == 2 * [(("", ""), 0)]
    sample = read_digits(tmp_path / "a" / "digits.npz")
    assert (len(sample.y_train), len(sample.y_test)) == (6000, 1000)
    assert (tmp_path / "a" / "digits.npz").read_bytes() == (tmp_path / "b" / "digits.npz").read_bytes()
    digest = hashlib.sha256(sample.x_train.tobytes() + sample.x_test.tobytes()).hexdigest()
    assert digest == "1762f5ebf1c6e2da42aa4567832801b7fdd48058c79033296c7aaf11992bfc4e"


def test_a_command_fails_with_one_line_and_no_file(start: Start, tmp_path: Path) -> None:
    params = "mnist: {download: {source: nowhere}}"
    process = start("-m", "stages.mnist.download", "--digits", "digits.npz", params=params)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.startswith("error: nowhere: no such folder")
    assert errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


def whole(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """The file."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def state(code: int) -> Answer:
    """An HTTP error."""

    def answer(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def cut_short(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Half of what was announced."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])


def another_page(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    """What a guest network shows before one has signed in."""
    whole(handler, b"<html>please sign in</html>")


def nothing(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    """A connection closed without an answer."""
    handler.close_connection = True


def silence(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    """A connection kept open, until the client has gone, without an answer."""
    handler.connection.settimeout(None)  # the time limit of the client holds for all sockets of this process
    handler.rfile.read(1)


class Web:
    """A server that gives `answers` in turn, the last one again and again."""

    def __init__(self, body: bytes) -> None:
        self.answers: list[Answer] = [whole]
        self.asked = 0
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = web.answers[min(web.asked, len(web.answers) - 1)]
                web.asked += 1
                answer(self, body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/mnist.npz"


@pytest.fixture
def web(digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """Keras's loader and download as they are, but for the address, the hash and, Keras being loaded, its folder."""
    from stages.mnist.network import tf

    assert tf.keras.backend.backend() == "tensorflow"  # loaded before the stage would load it on torch
    import keras.src.datasets.mnist as loader

    write_arrays(asdict(digits), tmp_path / "served.npz")
    body = (tmp_path / "served.npz").read_bytes()
    served = Web(body)
    kept = loader.get_file

    def get_file(fname: str, origin: str, file_hash: str) -> Any:
        assert origin.startswith("https://")
        assert len(file_hash) == 64
        digest = hashlib.sha256(body).hexdigest()
        return kept(fname=fname, origin=served.address, file_hash=digest, cache_dir=str(tmp_path / stage.CACHE))

    monkeypatch.setattr(loader, "get_file", get_file)
    monkeypatch.setattr(stage, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(stage, "SILENCE", 0.3)
    monkeypatch.setenv("KERAS_HOME", "restored afterwards")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.chdir(tmp_path)
    timeout = socket.getdefaulttimeout()
    threading.Thread(target=served.server.serve_forever, args=(0.01,), daemon=True).start()
    yield served
    served.server.shutdown()
    served.server.server_close()
    socket.setdefaulttimeout(timeout)


@pytest.mark.parametrize(
    "answers",
    [[whole], [state(503), state(429), whole], [cut_short, whole], [another_page, whole], [nothing, silence, whole]],
)
def test_the_web_is_tried_again(answers: list[Answer], web: Web, digits: Digits, capfd: Any) -> None:
    web.answers = answers
    assert np.array_equal(download("web").x_train, digits.x_train)
    assert web.asked == len(answers)
    assert capfd.readouterr() == ("", "")


def test_what_was_fetched_is_not_fetched_again(web: Web, digits: Digits) -> None:
    download("web")
    assert np.array_equal(download("web").x_train, digits.x_train)
    assert web.asked == 1


@pytest.mark.parametrize(
    ("answer", "error", "asked", "message"),
    [
        (state(503), TransientError, 3, "503 -- Service Unavailable; three tries failed, run it again later"),
        (cut_short, TransientError, 3, "retrieval incomplete"),
        (another_page, TransientError, 3, "Incomplete or corrupted file"),
        (nothing, TransientError, 3, "closed connection without response"),
        (silence, TransientError, 3, "timed out"),
        (state(404), Refused, 1, "404 -- Not Found; see whether Keras still has MNIST, or give .* a folder"),
        (state(403), Refused, 1, "403 -- Forbidden"),
    ],
)
def test_a_web_that_fails_is_named(
    answer: Answer, error: type[GliaflowError], asked: int, message: str, web: Web
) -> None:
    web.answers = [answer]
    with pytest.raises(error, match=message) as raised:
        download("web")
    assert web.asked == asked
    assert "\n" not in str(raised.value)


def test_no_server_is_a_transient_failure(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setattr(web, "address", f"http://127.0.0.1:{taken.getsockname()[1]}/mnist.npz")
        with pytest.raises(TransientError, match="refused"):
            download("web")


def test_a_failure_of_this_machine_is_not_the_webs(web: Web, tmp_path: Path) -> None:
    (tmp_path / stage.CACHE / "datasets").mkdir(parents=True)
    (tmp_path / stage.CACHE / "datasets" / "mnist.npz").mkdir()
    with pytest.raises(IsADirectoryError):
        download("web")
    assert web.asked <= 1


def test_an_unreachable_web_as_a_command(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{taken.getsockname()[1]}")
        command = "import stages.mnist.download as d; d.PAUSES = 0, 0; d.run(d.main)"
        process = start("-c", command, "--digits", "digits.npz", params="mnist: {download: {source: web}}")
        output, errors = process.communicate()
    assert (process.returncode, output) == (75, "")
    assert errors.startswith("error: MNIST from the web: URL fetch failure on https://")
    assert errors.count("\n") == 1
    assert not (tmp_path / "digits.npz").exists()
    assert not (tmp_path / ".keras").exists()
