"""What is found at each path of the local API, and the HTTP status of each refusal."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from edgekit.errors import EdgekitError, InputError
from edgekit_agent.asking import Answer
from edgekit_agent.local_api.messages import Request, Response
from edgekit_agent.local_api.protocol import EXTENSIONS, InferRequest, decode_request, describe_tensor, encode_error, encode_response
from edgekit_agent.local_api.raw_bodies import ask_in_binary, check_length, is_raw_body
from edgekit_agent.raw_access import RawAccess, RawUnavailable
from edgekit_agent.serving import Busy, Lease, ModelInfo, Serving, UnknownModel

log = logging.getLogger(__name__)

_JSON_LENGTH = "inference-header-content-length"
_Handler = Callable[[Request], Response]

# The first row that fits is the status; whatever is in no row is the server's own fault.
# fmt: off
_STATUSES: tuple[tuple[type[EdgekitError], HTTPStatus], ...] = (
    (UnknownModel,   HTTPStatus.NOT_FOUND),
    (Busy,           HTTPStatus.SERVICE_UNAVAILABLE),
    (RawUnavailable, HTTPStatus.NOT_IMPLEMENTED),
    (InputError,     HTTPStatus.BAD_REQUEST),
)
# fmt: on


class Routes:
    """Answers every request from what *serving* holds at that moment. Safe to be called by many threads."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def answer(self, request: Request) -> Response:
        """The response to *request*. It never raises: a refusal is the protocol's error object."""
        try:
            return self._answer(request)
        except EdgekitError as error:
            return _refuse(error)
        except Exception:
            # One request that a runtime or this server cannot bear must not end the connection's thread unanswered.
            log.exception("%s %s failed", request.head.method, request.head.target)
            return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed to answer; its log says why")

    def _answer(self, request: Request) -> Response:
        handlers = self._find_handlers(_split_path(request.head.target))
        if not handlers:
            return error_response(HTTPStatus.NOT_FOUND, f"there is nothing at {request.head.target!r}")
        # A HEAD request is answered as GET is, and the connection leaves the body out (RFC 9110, section 9.3.2).
        handler = handlers.get("GET" if request.head.method == "HEAD" else request.head.method)
        if handler is None:
            allowed = ", ".join([*handlers, *(["HEAD"] if "GET" in handlers else [])])
            response = error_response(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.head.method} is not possible here, only {allowed}")
            return Response(response.status, response.pieces, (*response.headers, ("Allow", allowed)))
        return handler(request)

    def _find_handlers(self, path: list[str]) -> dict[str, _Handler]:
        """The handlers at *path* by method; none where there is nothing."""
        match path:
            case ["v2"]:
                return {"GET": self._describe_server}
            case ["v2", "health", "live"]:
                return {"GET": lambda _: _json({"live": True})}
            case ["v2", "health", "ready"]:
                return {"GET": self._tell_readiness}
            case ["v2", "models", model, "versions", version, *action]:
                return self._find_model_handlers(model, version, action)
            case ["v2", "models", model, *action]:
                return self._find_model_handlers(model, None, action)
        return {}

    def _find_model_handlers(self, model: str, version: str | None, action: list[str]) -> dict[str, _Handler]:
        match action:
            case []:
                return {"GET": lambda _: _json(_describe_model(self._serving.find_model(model, version)))}
            case ["ready"]:
                return {"GET": lambda _: self._tell_model_readiness(model, version)}
            case ["infer"]:
                return {"POST": lambda request: self._infer(model, version, request)}
        return {}

    def _describe_server(self, _: Request) -> Response:
        from importlib.metadata import version  # brings the parser of e-mail, which nothing else here needs

        return _json({"name": "edgekit-agent", "version": version("edgekit"), "extensions": EXTENSIONS})

    def _tell_readiness(self, _: Request) -> Response:
        ready = self._serving.is_ready
        return _json({"live": True, "ready": ready}, HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)

    def _tell_model_readiness(self, model: str, version: str | None) -> Response:
        try:
            return _json({"name": self._serving.find_model(model, version).name, "ready": True})
        except Busy:
            return _json({"name": model, "ready": False}, HTTPStatus.SERVICE_UNAVAILABLE)

    def _infer(self, name: str, version: str | None, request: Request) -> Response:
        with self._serving.leasing(name, version) as lease:
            asked, answer = _ask(lease, request)
            payload = encode_response(name, answer.info.version, asked, answer.specs, answer.outputs)
        if payload.json_length is None:
            return Response(HTTPStatus.OK, payload.pieces)
        kind = ("Content-Type", "application/octet-stream")
        return Response(HTTPStatus.OK, payload.pieces, (kind, ("Inference-Header-Content-Length", str(payload.json_length))))


def error_response(status: HTTPStatus, message: str) -> Response:
    """A refusal as the protocol words it; with the time to wait, where waiting helps."""
    later = (("Retry-After", "1"),) if status == HTTPStatus.SERVICE_UNAVAILABLE else ()
    return Response(status, (encode_error(message),), (("Content-Type", "application/json"), *later))


def _refuse(error: EdgekitError) -> Response:
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    return error_response(status, str(error))


def _json(value: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(status, (msgspec.json.encode(value),))


def _split_path(target: str) -> list[str]:
    """The segments of a request's target, which is a path or a whole URL (RFC 9112, section 3.2)."""
    try:
        path = urlsplit(target).path
    except ValueError as error:
        raise InputError("request", f"its target {target!r} is not a URL: {error}", "Correct the path.") from error
    return [unquote(segment) for segment in path.split("/")[1:]]


def _find_json_length(request: Request) -> int | None:
    given = request.head.headers.get(_JSON_LENGTH)
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 20):
        raise InputError("Inference-Header-Content-Length", f"it is {given!r}, and a count of bytes is expected", "Correct the header.")
    return int(given)


def _ask(lease: Lease, request: Request) -> tuple[InferRequest, Answer]:
    """What *request* asks for and the answer: to the one raw item that its body is, or to what the protocol's own request holds."""
    json_length = _find_json_length(request)
    if json_length is None and is_raw_body(request, lease.raw):
        asked = InferRequest(inputs={}, outputs={}, binary=ask_in_binary(request), id=None)
        answer = lease.infer_item(request.body)
    else:
        asked = decode_request(request.body, json_length)
        answer = lease.infer(asked.inputs, asked.outputs)
    check_length(asked, answer)
    return asked, answer


def _describe_model(info: ModelInfo) -> dict[str, Any]:
    raw = {} if info.raw is None else {"raw": _describe_raw(info.raw)}
    return {
        "name": info.name,
        "versions": [info.version],
        "platform": f"{info.runtime}_{info.format}",
        "inputs": [describe_tensor(spec) for spec in info.inputs],
        "outputs": [describe_tensor(spec) for spec in info.outputs],
        "parameters": {"variant": info.variant, "precision": info.precision, "digest": info.digest, **raw},
    }


def _describe_raw(raw: RawAccess) -> dict[str, Any]:
    """What callers may give beside tensors, and what they get for it; where that cannot be had here, why."""
    inputs = [describe_tensor(spec) | {"kind": raw.kinds[spec.name]} for spec in raw.inputs]
    told = {"unavailable": raw.unavailable, "proof": raw.proof or None}
    return {"inputs": inputs, "outputs": [describe_tensor(spec) for spec in raw.answers], **{name: text for name, text in told.items() if text}}
