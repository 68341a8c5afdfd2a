"""What a local page of Gradio lets through: a list of its addresses, and nothing else.

Gradio can serve files of a disk, fetch addresses for a client, and more that a page of our own
needs not. Whatever is not on the list is not there. Plain ASGI.
"""

import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from crossmodal.configuration import check_range

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict]]
Send = Callable[[dict], Awaitable[None]]

# What the page itself asks for, as its requests in a browser show.
_GET = (
    "/", "/config", "/theme.css", "/favicon.ico", "/robots.txt", "/manifest.json",
    "/gradio_api/info", "/gradio_api/theme.css", "/gradio_api/app_id",
    "/gradio_api/startup-events", "/gradio_api/queue/data", "/gradio_api/upload_progress",
)
_GET_BELOW = ("/assets/", "/static/", "/gradio_api/heartbeat/")
_JOIN, _UPLOAD = "/gradio_api/queue/join", "/gradio_api/upload"
_POST = (_JOIN, _UPLOAD, "/gradio_api/cancel", "/gradio_api/reset")
# A request to search names a file and some choices.
_MOST_BYTES = 100_000
# A file comes within a form, which takes some bytes more.
_FORM_BYTES = 100_000
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")

MEGABYTE = 1 << 20

# The scripts and styles are Gradio's, which writes functions as text.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self'"
    " 'unsafe-inline'; img-src 'self' data: blob:; media-src data: blob:; font-src 'self' data:;"
    " connect-src 'self'; worker-src 'self' blob:; object-src 'none'; frame-src 'none'; base-uri"
    " 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class Guard:
    """An ASGI application around another."""

    def __init__(
        self, app: Callable, uploads: str, most_megabytes: float, hosts: Iterable[str] | None
    ) -> None:
        """Around `app`.

        Args:
          app: of Gradio.
          uploads: the folder of uploaded files, the only one that requests may name.
          most_megabytes: of an upload.
          hosts: names by which the page may be called, without port; None for any.

        Raises:
          ConfigurationError: the limit is out of range.
        """
        check_range("most_megabytes", most_megabytes, 0.001, 10_000)
        self.app = app
        self.uploads = os.path.realpath(uploads)
        self.most_megabytes = most_megabytes
        self.hosts = None if hosts is None else frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with one line."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        refused = self._refuse(scope)
        if scope["path"] == "/":
            # Gradio would open what a link names.
            scope = {**scope, "query_string": b""}
        if not refused and scope["path"] == _JOIN:
            body = await _read(receive)
            refused = None if self._names_only_uploads(body) else (403, "no such upload")
            receive = _again(body, receive)
        if refused:
            await _answer(send, *refused)
            return

        async def send_with_headers(message: dict) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in _HEADERS}
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in own]
                message = {**message, "headers": [*kept, *_HEADERS]}
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _refuse(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason for a request that is not let through."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if self.hosts is not None and _host(headers.get(b"host", "")) not in self.hosts:
            return 421, "this page is not called by that name"
        path, method = scope["path"], scope["method"]
        if method in ("GET", "HEAD"):
            below = path.startswith(_GET_BELOW) and ".." not in path and "\\" not in path
            return None if path in _GET or below else (404, "not found")
        if method != "POST" or path not in _POST:
            return 404, "not found"
        origin = headers.get(b"origin")
        if origin and origin.partition("://")[2] != headers.get(b"host"):
            return 403, "asked for by another page"
        length = headers.get(b"content-length", "")
        if not length.isdigit():
            return 411, "the length of the request is missing"
        most = _MOST_BYTES
        if path == _UPLOAD:
            most = round(self.most_megabytes * MEGABYTE) + _FORM_BYTES
        if int(length) > most:
            return 413, f"the file is larger than {self.most_megabytes:g} MB"
        return None

    def _names_only_uploads(self, body: bytes) -> bool:
        """Whether all paths of a request are of uploaded files; Gradio would fetch addresses."""
        try:
            paths = list(_paths(json.loads(body)))
        except (ValueError, RecursionError):
            return False
        return all(
            isinstance(path, str)
            and "\0" not in path
            and os.path.realpath(path).startswith(f"{self.uploads}{os.sep}")
            for path in paths
        )


def _paths(value: Any) -> Iterable[Any]:
    """Everything that is called `path` anywhere in JSON."""
    if isinstance(value, dict):
        for name, held in value.items():
            if name == "path":
                yield held
            else:
                yield from _paths(held)
    elif isinstance(value, list):
        for held in value:
            yield from _paths(held)


def _host(header: str) -> str:
    """The name of a Host header without its port."""
    if header.startswith("["):
        return header.partition("]")[0] + "]"
    return header.partition(":")[0].lower()


async def _read(receive: Receive) -> bytes:
    """The whole body, whose length was checked; a client that lies about it is cut off."""
    body = b""
    while len(body) <= _MOST_BYTES:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """What receives a body once more, then goes on."""
    given = False

    async def receive_again() -> dict:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


async def _answer(send: Send, status: int, reason: str) -> None:
    content = reason.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"),
               (b"content-length", str(len(content)).encode()), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
