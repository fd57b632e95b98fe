"""The page's server answers GET and HEAD of its own files to its own host, and nothing else."""

from __future__ import annotations

import contextlib
import itertools
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from initlab.core.errors import OptionError
from initlab.web import PAGE
from initlab.web.server import PageServer, page_server

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW")
PROFILE = '{"profile": {"rows": []}}'


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    made = page_server(profile=PROFILE, port=0)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join(10)


def ask(server: PageServer, *lines: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a raw request."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as end:
        with contextlib.suppress(OSError):  # an answer may come, and the connection end, before all was sent
            end.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        whole = b""
        with contextlib.suppress(ConnectionResetError):
            while part := end.recv(65536):
                whole += part
    head, _, rest = whole.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    return int(status.split()[1]), dict(field.split(": ", 1) for field in fields), rest


def get(server: PageServer, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    return ask(server, f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{server.server_port}")


def header_sets(port: int) -> list[tuple[list[str], bool]]:
    """Forty sets of headers, and whether they are a visitor's own."""
    own = [f"Host: 127.0.0.1:{port}", f"Host: localhost:{port}"]
    origins = [f"Origin: http://127.0.0.1:{port}", f"Origin: http://localhost:{port}"]
    good = [[host] for host in own] + [list(pair) for pair in itertools.product(own, origins)]
    hosts = [
        "evil.example", f"evil.example:{port}", f"127.0.0.1:{port}.evil.example", "127.0.0.1", f"127.0.0.1:{port + 1}",
        f"127.0.0.2:{port}", f"0.0.0.0:{port}", f"[::1]:{port}", f"localhost.evil.example:{port}", f"2130706433:{port}",
        f"user@127.0.0.1:{port}", "", f"127.0.0.1:{port},evil.example", f"127.0.0.1:0{port}", f"LOCALHOST.:{port}",
    ]  # fmt: skip
    foreign = [
        "null", "http://evil.example", f"https://127.0.0.1:{port}", "http://127.0.0.1", f"http://127.0.0.1:{port + 1}",
        f"http://127.0.0.1:{port}.evil.example", "file://", f"http://127.0.0.1:{port}/", "", "*",
        f"http://[::1]:{port}", f"http://user@127.0.0.1:{port}", f"chrome-extension://127.0.0.1:{port}",
    ]  # fmt: skip
    bad = [[], [f"X-Forwarded-Host: 127.0.0.1:{port}"], [own[0], own[0]], [own[0], "Host: evil.example"]]
    bad += [[f"Host: {host}"] for host in hosts]
    bad += [[own[0], f"Origin: {origin}"] for origin in foreign]
    bad += [[own[0], origins[0], "Origin: http://evil.example"], ["Host: evil.example", origins[0]]]
    return [(one, True) for one in good] + [(one, False) for one in bad]


@pytest.mark.parametrize("method", METHODS)
def test_only_ones_own_host_and_origin_are_answered_whatever_the_method(server: PageServer, method: str) -> None:
    sets = header_sets(server.server_port)
    assert len(sets) == 40
    for headers, ours in sets:
        status, fields, body = ask(server, f"{method} / HTTP/1.1", *headers)
        assert status == (403 if not ours else 200 if method in ("GET", "HEAD") else 405), headers
        assert fields["X-Content-Type-Options"] == "nosniff"
        assert (body == b"") == (method == "HEAD")


def test_every_answer_forbids_frames_inline_code_and_keeping(server: PageServer) -> None:
    for path, method in (("/", "GET"), ("/nothing", "GET"), ("/", "POST")):
        _, fields, _ = get(server, path, method)
        policy = fields["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "worker-src blob:" in policy
        assert fields["Cache-Control"] == "no-store"


def test_the_files_are_the_built_ones_and_head_has_their_length(server: PageServer) -> None:
    for path in PAGE.iterdir():
        status, fields, body = get(server, f"/{path.name}")
        assert (status, body) == (200, path.read_bytes())
        assert get(server, f"/{path.name}", "HEAD")[1]["Content-Length"] == fields["Content-Length"] == str(len(body))
    assert get(server, "/?x=1")[2] == (PAGE / "index.html").read_bytes()
    assert get(server, "/profile.json")[2].decode() == PROFILE


@pytest.mark.parametrize(
    "path",
    [
        "/../server.py", "/..%2fserver.py", "/%2e%2e/server.py", "/%2e%2e%2fserver.py", "/....//server.py",
        "/..\\server.py", "/..%5cserver.py", "/page/../../server.py", "//etc/passwd", "/%252e%252e/server.py",
        "/..;/server.py", "file:///etc/passwd", "/./index.html/..", "/%00", "/page/", "/.", "/index.html/",
        "../server.py",
    ],
)  # fmt: skip
def test_no_spelling_of_a_path_leaves_the_folder_or_lists_it(server: PageServer, path: str) -> None:
    status, _, body = get(server, path)
    assert status == 404
    assert body == b"404 Not Found\n"


def test_what_is_no_request_is_refused_in_one_line(server: PageServer) -> None:
    for line in ("", "GET", "GET / HTTP/9.9", "GET / / HTTP/1.1", "\x16\x03\x01", "GET /" + "a" * 70_000 + " HTTP/1.1"):
        with contextlib.suppress(IndexError):  # an empty line gets no answer
            status, _, body = ask(server, line)
            assert status in (400, 403, 414, 505)
            assert body.count(b"\n") <= 1


def test_a_header_of_100_mb_is_refused_and_not_kept(server: PageServer) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    piece = b"x" * (1 << 20)
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as end:
        end.sendall(b"GET / HTTP/1.1\r\nX: ")
        with contextlib.suppress(OSError):
            for _ in range(100):
                end.sendall(piece)
        with contextlib.suppress(OSError):
            assert end.recv(12) in (b"", b"HTTP/1.0 431")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB
    assert get(server, "/")[0] == 200


def test_readers_that_do_not_read_and_writers_that_do_not_write_keep_nobody_out(server: PageServer) -> None:
    ends = []
    try:
        for i in range(120):
            end = socket.create_connection(("127.0.0.1", server.server_port), timeout=10)
            end.sendall(
                f"GET /page.js HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n{'' if i % 2 else chr(13)}".encode()
            )
            ends.append(end)
        began = time.monotonic()
        assert get(server, "/")[0] == 200
        assert time.monotonic() - began < 5.0
        assert threading.active_count() < 80
    finally:
        for end in ends:
            end.close()


def test_a_flood_over_kept_connections_gets_one_answer_each(server: PageServer) -> None:
    one = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\nConnection: keep-alive\r\n\r\n".encode()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as end:
            with contextlib.suppress(OSError):
                end.sendall(one * 200)
            whole = b""
            with contextlib.suppress(ConnectionResetError):
                while part := end.recv(65536):
                    whole += part
        assert whole.count(b"HTTP/1.0 200") <= 1
    assert get(server, "/")[0] == 200


def test_it_listens_on_loopback_alone(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_a_taken_port_gives_the_next(server: PageServer) -> None:
    with page_server(port=server.server_port) as other:
        assert server.server_port < other.server_port < server.server_port + 50


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(OptionError, match="--port"):
        page_server(port=port)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C as POSIX has it")
def test_the_command_prints_its_address_and_ctrl_c_ends_it() -> None:
    command = [sys.executable, "-m", "initlab", "web", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/ shows the page; Ctrl-C ends it\n", told)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "ended\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the largest memory of another process from /proc")
def test_under_attack_from_all_sides_the_command_stays_below_300_mb() -> None:
    command = [sys.executable, "-m", "initlab", "web", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().split("/ shows")[0].rpartition(":")[2])
        host = f"Host: 127.0.0.1:{port}\r\n"

        def attack(one: bytes, times: int) -> None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as end:
                for _ in range(times):
                    end.sendall(one)

        slow = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(100)]
        for end in slow:
            end.sendall(f"GET /page.js HTTP/1.1\r\n{host}".encode())
        attacks = [(f"GET / HTTP/1.1\r\n{host}X: ".encode() + b"x" * (1 << 20), 100)] * 4
        attacks += [(f"GET /page.js HTTP/1.1\r\n{host}Connection: keep-alive\r\n\r\n".encode(), 500)] * 12
        threads = [threading.Thread(target=attack, args=args) for args in attacks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        most = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text(encoding="ascii"))
        alive = process.poll() is None
        for end in slow:
            end.close()
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert alive
    assert most is not None
    assert int(most[1]) < 300_000, f"{most[1]} kB"
