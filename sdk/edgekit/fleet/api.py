"""The fleet's HTTP API. Only here does a refusal become an HTTP status.

It listens on this machine alone, and a browser on this machine may be led to it by any web page. So a request must name this
machine in its Host header (against DNS rebinding), what changes something must not come from another origin, and no
cross-origin reading is allowed.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from litestar import Litestar, Request, Response, Router, asgi
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ControllerRouterHandler

from edgekit.addresses import LOOPBACK
from edgekit.errors import (
    DeviceError,
    EdgekitError,
    GateRefused,
    InputError,
    TransferError,
    TrustError,
    UnknownName,
    WireError,
)
from edgekit.fleet.rollouts import RolloutConflict
from edgekit.fleet.routes import ROUTES, Services
from edgekit.fleet.static_files import App, Receive, Scope, Send, serve_files
from edgekit.fleet.views import Refusal
from edgekit.rollout import RolloutEnded

log = logging.getLogger(__name__)

API = "/api/v1"
#: The most that a request's body may have, in bytes.
MAX_BODY_BYTES = 256 << 10
_CHANGING = ("POST", "PUT", "PATCH", "DELETE")
_FORBIDDEN, _MISDIRECTED, _OUR_FAULT = 403, 421, 500

# The first row that fits is the status, so the narrower stand above the wider.
# fmt: off
STATUSES: tuple[tuple[type[EdgekitError], int], ...] = (
    (UnknownName,     404),
    (RolloutConflict, 409),
    (RolloutEnded,    409),
    (InputError,      400),
    (GateRefused,     409),
    (TrustError,      502),
    (WireError,       502),
    (TransferError,   503),
    (DeviceError,     503),
)
# fmt: on


def create_app(services: Services, pages: Sequence[ControllerRouterHandler] = ()) -> App:
    """The application: the API, the files of the release repository under ``/releases/``, and *pages* for people."""
    releases = asgi("/releases", is_mount=True, copy_scope=True)(serve_files(services.releases.repository))
    app = Litestar(
        [Router(API, route_handlers=list(ROUTES)), releases, *pages],
        dependencies={"fleet": Provide(lambda: services, sync_to_thread=False)},
        exception_handlers={EdgekitError: refuse, HTTPException: refuse_request, RecursionError: refuse_nesting, Exception: admit_fault},
        openapi_config=OpenAPIConfig(
            title="edgekit fleet", version="1", path=f"{API}/openapi.json", render_plugins=[JsonRenderPlugin(path="/")], use_handler_docstrings=True
        ),
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )
    return guard(cast(App, app))


def refuse(_: Request[Any, Any, Any], error: EdgekitError) -> Response[Refusal]:
    """An edgekit error, by its class."""
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), _OUR_FAULT)
    kind = next((kind.__name__ for kind, _ in STATUSES if isinstance(error, kind)), "EdgekitError")
    body = Refusal(error=str(error), kind=kind, subject=error.subject, problem=error.problem, remedy=error.remedy)
    return Response(body, status_code=status)


def refuse_request(_: Request[Any, Any, Any], error: HTTPException) -> Response[Refusal]:
    """A request that reached no handler: a wrong path, method, parameter or body."""
    details = "; ".join(_describe_detail(one) for one in error.extra) if isinstance(error.extra, list) else ""
    text = f"{error.detail}: {details}" if details else error.detail
    return Response(_make_refusal("request", text, "See /api/v1/openapi.json."), status_code=error.status_code, headers=error.headers)


def _describe_detail(detail: object) -> str:
    if isinstance(detail, Mapping):
        return f"{detail.get('key', 'body')}: {detail.get('message', '')}"
    return str(detail)


def refuse_nesting(_: Request[Any, Any, Any], __: RecursionError) -> Response[Refusal]:
    """A body with more levels than anybody has use for."""
    return Response(_make_refusal("request", "its body is nested too deeply", "See /api/v1/openapi.json."), status_code=400)


def admit_fault(request: Request[Any, Any, Any], error: Exception) -> Response[Refusal]:
    """Whatever nobody has foreseen: the log has where it happened, and the caller that it is no fault of theirs."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    refusal = _make_refusal("server", f"this is a fault of edgekit and not of yours: {type(error).__name__}", "See the server's log.")
    return Response(refusal, status_code=_OUR_FAULT)


def _make_refusal(subject: str, problem: str, remedy: str) -> Refusal:
    error = InputError(subject, problem, remedy)
    return Refusal(error=str(error), subject=error.subject, problem=error.problem, remedy=error.remedy)


def guard(app: App) -> App:
    """*app* for this machine alone: another name in Host, or a change asked for by another origin, does not reach it."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _find_intrusion(scope) if scope["type"] == "http" else None
        if refusal is None:
            await app(scope, receive, send)
            return
        status, body = refusal
        data = body.encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data, "more_body": False})

    return guarded


def _find_intrusion(scope: Scope) -> tuple[int, Refusal] | None:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    host, origin = headers.get(b"host", ""), headers.get(b"origin")
    if not _is_here(host):
        return _MISDIRECTED, _make_refusal(f"host {host[:80]!r}", "this server is reached as 127.0.0.1 or localhost alone", "Use that address.")
    if scope["method"] in _CHANGING and origin is not None and origin.partition("://")[2] != host:
        return _FORBIDDEN, _make_refusal(f"origin {origin[:80]!r}", "a page of another origin may change nothing here", "Use the fleet's own page.")
    return None


def _is_here(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in LOOPBACK
    except ValueError:
        return False
