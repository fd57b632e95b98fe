"""The page's server: a table of files in memory, on loopback alone, which changes nothing.

A request is looked up by its whole path, so no spelling of one leaves the table. Every answer ends its connection;
where too many are open the oldest is ended, so a slow reader keeps nobody out.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Mapping
from functools import partial
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any, ClassVar, NamedTuple

from initlab.core.errors import OptionError
from initlab.web import PAGE, PORT

LOOPBACK = "127.0.0.1"
_PORTS_TRIED = 50
_SILENCE = 10.0  # seconds without a byte after which a connection is ended
_OPEN = 24  # connections at once; a browser has six
_HEAD = 1 << 17  # bytes of a request with its headers
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
}
_HEADERS = {
    # The page's worker is made from a text of the page's own script, for file:// allows no other.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Answer(NamedTuple):
    """A file that is served: its type and its bytes."""

    kind: str
    body: bytes


def page_files(profile: str | None = None) -> dict[str, Answer]:
    """What is served, by path: the page's files, and a profile's JSON where one is given."""
    files = {f"/{path.name}": Answer(_TYPES[path.suffix], path.read_bytes()) for path in PAGE.iterdir()}
    files["/"] = files["/index.html"]
    if profile is not None:
        files["/profile.json"] = Answer(_TYPES[".json"], profile.encode())
    return files


class _Head:
    """A request's lines, up to a number of bytes in all: a line more is too long, as http.server has it."""

    def __init__(self, file: BufferedIOBase) -> None:
        self._file, self._left = file, _HEAD

    def readline(self, size: int = -1) -> bytes:
        line = self._file.readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise LineTooLong("header")
        return line

    def close(self) -> None:
        self._file.close()


class _Handler(BaseHTTPRequestHandler):
    timeout = _SILENCE
    default_request_version = "HTTP/1.0"  # of an answer to what is no request
    server: PageServer
    _allowed: ClassVar = ("GET", "HEAD")

    def __init__(self, files: Mapping[str, Answer], *rest: Any) -> None:
        self._files = files
        super().__init__(*rest)

    def setup(self) -> None:
        """Read no more of a request than a head's length."""
        super().setup()
        self.rfile = _Head(self.rfile)  # type: ignore[assignment]

    def parse_request(self) -> bool:
        """Whether the request may be answered: every method is held to the same host and origin first."""
        if not super().parse_request():
            return False
        self.close_connection = True
        if not self._is_from_here():
            self.send_error(403)
        elif self.command not in self._allowed:
            self.send_error(405)
        else:
            return True
        return False

    def _is_from_here(self) -> bool:
        """A page of another host may reach a loopback port by a name of its own: Host and Origin tell it."""
        hosts = self.headers.get_all("Host", [])
        origins = self.headers.get_all("Origin", [])
        ours = self.server.names
        return len(hosts) == 1 and hosts[0] in ours and all(o in {f"http://{name}" for name in ours} for o in origins)

    def do_GET(self) -> None:
        """The file of a path, or of a path with a query."""
        found = self._files.get(self.path.split("?", 1)[0])
        if found is None:
            self.send_error(404)
        else:
            self._send(200, found)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks up

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A status and its words as plain text, and nothing of what was asked."""
        self.close_connection = True
        words = self.responses.get(code, ("Error", ""))[0]
        self._send(code, Answer("text/plain; charset=utf-8", f"{code} {words}\n".encode()))

    def _send(self, code: int, answer: Answer) -> None:
        self.send_response(code)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if code == 405:
            self.send_header("Allow", ", ".join(self._allowed))
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if getattr(self, "command", None) != "HEAD":
            self.wfile.write(answer.body)

    def version_string(self) -> str:
        """The server's name, without versions."""
        return "initlab"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal shows the address alone."""


class PageServer(ThreadingHTTPServer):
    """Serves the page until ``shutdown``; it is bound when it is made.

    Args:
        files: What is served, by path.
        port: The port; 0 is any that is free.
    """

    daemon_threads = True
    # On Windows it would let two programs share a port.
    allow_reuse_address = os.name != "nt"
    request_queue_size = 64

    def __init__(self, files: Mapping[str, Answer], *, port: int = PORT) -> None:
        self._connections: dict[socket.socket, None] = {}
        self._lock = threading.Lock()
        super().__init__((LOOPBACK, port), partial(_Handler, files))
        ends = [f":{self.server_port}", *([""] if self.server_port == 80 else [])]
        self.names = frozenset(f"{name}{end}" for name in (LOOPBACK, "localhost") for end in ends)

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own; the oldest makes room where too many are open."""
        with self._lock:
            if len(self._connections) >= _OPEN:
                oldest = next(iter(self._connections))
                del self._connections[oldest]
                _end(oldest)
            self._connections[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection that is answered."""
        with self._lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a reader that went away is no fault of the page's."""


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError as error:  # it ended by itself
        if error.errno not in (errno.ENOTCONN, errno.EBADF):
            raise


def page_server(*, profile: str | None = None, port: int = PORT) -> PageServer:
    """A server of the page at this port, or at the next one that is free.

    Args:
        profile: The JSON of a profile, to be shown in the page.
        port: 0 to 65535; 0 is any.

    Raises:
        OptionError: A port out of range, or none is free.
    """
    if not 0 <= port <= 65535:
        raise OptionError(f"a port of {port}", where="--port", fix="give 1 to 65535, or 0 for any")
    files = page_files(profile)
    for tried in range(port, min(port + _PORTS_TRIED, 65536)):
        try:
            return PageServer(files, port=tried)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    raise OptionError(f"no port from {port} to {tried} is free", where="--port", fix="give another, or 0 for any")
