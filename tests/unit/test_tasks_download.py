"""Downloads, from a mirror on this machine: what reaches the cache, and that nothing else ever does."""

from __future__ import annotations

import gzip
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from initlab.core.errors import DataError, MissingDependencyError, ResourceError
from initlab.tasks.files import sha256, write_atomically
from initlab.tasks.find import load_idx_set
from initlab.tasks.idx import encode_idx
from initlab.tasks.idxset import FILES, IdxSet

pytest.importorskip("pooch", reason="pooch makes the downloads; it is in the extra lab")

RAW = {file: encode_idx(np.arange(8, dtype=np.uint8).reshape(2, 2, 2) + np.uint8(i)) for i, file in enumerate(FILES)}

Serve = Callable[[dict[str, bytes]], str]


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """The requests are no part of a test's output."""


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a mirror of the given files on the loopback device; its address is returned."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(files: dict[str, bytes]) -> str:
        folder = tmp_path / f"mirror{len(servers)}"
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def zipped(**changed: bytes) -> dict[str, bytes]:
    """What a healthy mirror holds, but for the changed files (named ``x_train`` and so on)."""
    return {f"{file}.gz": changed.get(key, gzip.compress(RAW[file])) for file, key in FILES.items()}


def tiny(*mirrors: str) -> IdxSet:
    return IdxSet("tiny", {file: sha256(raw) for file, raw in RAW.items()}, ("",), ("$INITLAB_CACHE/tiny",), mirrors)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def cache(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INITLAB_CACHE", str(bare_machine / "cache"))
    return bare_machine / "cache"


def test_a_download_is_kept_uncompressed_and_nothing_beside_it(cache: Path, serve: Serve) -> None:
    load_idx_set(tiny(serve(zipped())), None)
    assert {path.name: path.read_bytes() for path in files_below(cache)} == RAW


def test_the_second_load_needs_no_network(cache: Path, serve: Serve) -> None:
    first = load_idx_set(tiny(serve(zipped())), None)
    second = load_idx_set(tiny(), None)
    assert all(np.array_equal(first[file], second[file]) for file in FILES)


def test_a_mirror_that_zips_otherwise_is_as_good(cache: Path, serve: Serve) -> None:
    stored = {f"{file}.gz": gzip.compress(raw, compresslevel=0, mtime=1) for file, raw in RAW.items()}
    assert stored != zipped()
    load_idx_set(tiny(serve(stored)), None)
    assert {path.name: path.read_bytes() for path in files_below(cache)} == RAW


FAULTS = {
    "another file": (gzip.compress(RAW["train-images-idx3-ubyte"]), "not the t10k-labels-idx1-ubyte of tiny"),
    "cut off": (gzip.compress(RAW["t10k-labels-idx1-ubyte"])[:-9], "the gzip stream is torn"),
    "web page": (b"<html>log in first</html>", "no IDX file of bytes"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mirror_with_wrong_bytes_is_an_error_and_leaves_nothing(fault: str, cache: Path, serve: Serve) -> None:
    content, words = FAULTS[fault]
    with pytest.raises(
        DataError, match=rf"tiny is not on this machine, and its download failed \(127.*{words}"
    ) as caught:
        load_idx_set(tiny(serve(zipped(y_test=content))), None)
    assert files_below(cache) == []
    assert "\n" not in str(caught.value)


def test_the_next_mirror_makes_up_for_one_with_wrong_bytes(cache: Path, serve: Serve) -> None:
    bad, good = serve(zipped(x_train=b"<html>")), serve(zipped())
    load_idx_set(tiny(bad, good), None)
    assert {path.name: path.read_bytes() for path in files_below(cache)} == RAW


def test_without_a_network_one_line_names_every_fix(cache: Path, serve: Serve) -> None:
    with pytest.raises(DataError) as caught:
        load_idx_set(tiny("http://127.0.0.1:9/"), None)
    assert str(caught.value) == (
        "tiny is not on this machine, and its download failed (127.0.0.1:9: ConnectionError): give its folder with "
        f"--data PATH or INITLAB_DATA, or put its four IDX files into {cache / 'tiny'}"
    )
    assert not cache.exists()


def test_a_file_that_a_mirror_lacks_is_named_by_its_error(cache: Path, serve: Serve) -> None:
    with pytest.raises(DataError, match="HTTPError"):
        load_idx_set(tiny(serve({})), None)
    assert not cache.exists()


def test_without_pooch_one_line_names_the_extra(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'initlab\[lab\]', or give its folder with --data"):
        load_idx_set(tiny("http://127.0.0.1:9/"), None)


def test_a_download_says_nothing_of_hashes_to_note(
    cache: Path, serve: Serve, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, logger="root"):
        load_idx_set(tiny(serve(zipped())), None)
    assert caplog.text + "".join(capfd.readouterr()) == ""


def test_a_cache_that_cannot_be_written_is_one_line(cache: Path, serve: Serve) -> None:
    cache.write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(ResourceError, match="name another folder with INITLAB_CACHE"):
        load_idx_set(tiny(serve(zipped())), None)


def test_a_write_that_fails_halfway_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    write_atomically(tmp_path / "file", b"old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResourceError, match="No space left on device"):
        write_atomically(tmp_path / "file", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]
