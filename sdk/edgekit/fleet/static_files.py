"""The release repository's files over HTTP: whole or in part, and nothing outside its directory (RFC 9110, section 14: Range)."""

import asyncio
import mimetypes
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

# ASGI 3.0, "Applications": the parts that are used here.
Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

PIECE = 256 << 10
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")


class Part(NamedTuple):
    """The bytes from *start* up to *end*, which is not included; *is_partial* says that a part was asked for."""

    start: int
    end: int
    is_partial: bool = False


def serve_files(root: Path) -> App:
    """An application that gives the files below *root*. Hidden names, directories and links out of it are not there."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - a GET has no body to receive
        is_head = scope["method"] == "HEAD"
        if scope["method"] != "GET" and not is_head:
            await _answer(send, 405, b"only GET and HEAD\n", {"allow": "GET, HEAD"})
            return
        file = await asyncio.to_thread(open_below, root, scope["path"])
        if file is None:
            await _answer(send, 404, b"there is no such file\n", {}, head=is_head)
            return
        with file:
            await _send_file(send, scope, file, head=is_head)

    return serve


def open_below(root: Path, path: str) -> BinaryIO | None:
    """The regular file that *path* names below *root*; None where there is none that may be given out."""
    parts = [part for part in path.split("/") if part]
    if not parts or any(part.startswith(".") or "\0" in part for part in parts):
        return None
    try:
        place = root.joinpath(*parts).resolve(strict=True)
        # To open a pipe would wait until somebody writes into it.
        if not place.is_relative_to(root.resolve()) or not place.is_file():
            return None
        return place.open("rb")
    except OSError:
        # Absent, a name that is too long, or not ours to read: to whoever asks it is all the same.
        return None


async def _send_file(send: Send, scope: Scope, file: BinaryIO, *, head: bool) -> None:
    state = os.fstat(file.fileno())
    headers = _describe(file.name, state)
    asked = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    if headers["etag"] in [one.strip() for one in asked.get("if-none-match", "").split(",")]:
        await _answer(send, 304, b"", headers, head=True)
        return
    # A part of a file that has changed since is no part of what the client has (RFC 9110, section 13.1.5).
    is_same = asked.get("if-range", headers["etag"]) == headers["etag"]
    part = find_part(asked.get("range") if is_same else None, state.st_size)
    if part.is_partial and part.start >= part.end:
        await _answer(send, 416, b"", headers | {"content-range": f"bytes */{state.st_size}"}, head=head)
        return
    if part.is_partial:
        headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{state.st_size}"
    await _start(send, 206 if part.is_partial else 200, headers | {"content-length": str(part.end - part.start)})
    await _send_part(send, file, Part(0, 0) if head else part)


def _describe(name: str, state: os.stat_result) -> dict[str, str]:
    return {
        "accept-ranges": "bytes",
        "etag": f'"{state.st_mtime_ns:x}-{state.st_size:x}"',
        "last-modified": formatdate(state.st_mtime, usegmt=True),
        "content-type": mimetypes.guess_type(name)[0] or "application/octet-stream",
        # The newest metadata changes under its name; to ask again for what did not change is cheap.
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
    }


def find_part(wanted: str | None, size: int) -> Part:
    """The part of *size* bytes that the header Range asks for; one without bytes where it lies outside.

    All of it where nothing is asked for, or what cannot be read or is several ranges: a server may ignore that
    (RFC 9110, section 14.2).
    """
    match = _RANGE.match(wanted) if wanted else None
    if match is None or match[1] == match[2] == "":
        return Part(0, size)
    if not match[1]:
        return Part(max(0, size - int(match[2])), size, is_partial=True)
    return Part(int(match[1]), min(int(match[2]) + 1, size) if match[2] else size, is_partial=True)


async def _send_part(send: Send, file: BinaryIO, part: Part) -> None:
    file.seek(part.start)
    left = part.end - part.start
    while left:
        piece = await asyncio.to_thread(file.read, min(PIECE, left))
        if not piece:
            # The file became shorter: ending too early tells the client, and more cannot be done once the headers are gone.
            raise EOFError(f"{file.name} ended {left} bytes early")
        left -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _answer(send: Send, status: int, body: bytes, headers: dict[str, str], *, head: bool = False) -> None:
    length = {} if status == 304 else {"content-length": str(len(body))}
    await _start(send, status, {"content-type": "text/plain; charset=utf-8", **headers, **length})
    await send({"type": "http.response.body", "body": b"" if head else body})


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
