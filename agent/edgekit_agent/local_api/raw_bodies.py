"""Requests whose body is a raw item itself: a picture, a sound, a text or a table, as its content type says."""

from collections.abc import Mapping

from edgekit.errors import InputError
from edgekit_agent.asking import Answer
from edgekit_agent.local_api.messages import Request
from edgekit_agent.local_api.protocol import InferRequest
from edgekit_agent.raw_access import RawAccess

#: The most elements of one part of an answer to a raw item that are written as JSON: the mask of a picture of 64 megapixels would
#: take gigabytes on its way there.
MAX_JSON_ELEMENTS = 4 << 20
_BYTES = "application/octet-stream"
_TEXT, _CSV = "text/plain", "text/csv"
_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")


def is_raw_body(request: Request, raw: RawAccess | None) -> bool:
    """Whether the body of *request* is an item for a model with the contract *raw*, and no request of the protocol.

    ``image/*``, ``audio/*`` and ``text/csv`` always are. Programs also send JSON as ``application/octet-stream`` or
    ``text/plain``, which browsers do by default, so there the contract decides: a text may begin as JSON does, and a picture, a sound
    or a table does not.

    Raises:
        InputError: it is a text in another encoding than UTF-8.
    """
    media, charset = _read_content_type(request.head.headers)
    kinds = set(raw.kinds.values()) if raw is not None else set()
    if media.startswith(("image/", "audio/")):
        return True
    if media == _CSV or (media == _TEXT and kinds & {"text", "series"}):
        _check_charset(charset)
        return True
    if media != _BYTES:
        return False
    return "text" in kinds or not bytes(request.body[:64]).lstrip().startswith(b"{")


def ask_in_binary(request: Request) -> bool:
    """Whether the answer to a raw body is wanted with its tensors in binary: where ``Accept`` names ``application/octet-stream``."""
    accepted = request.head.headers.get("accept", "").split(",")
    return any(one.partition(";")[0].strip().lower() == _BYTES for one in accepted)


def check_length(asked: InferRequest, answer: Answer) -> None:
    """Refuse to write as JSON what a contract read, where it is longer than any program can want it so."""
    if answer.specs == answer.info.outputs:
        return
    for name, is_binary in (asked.outputs or dict.fromkeys(answer.outputs, asked.binary)).items():
        if answer.outputs[name].size > MAX_JSON_ELEMENTS and not is_binary:
            problem = f"it has {answer.outputs[name].size} elements, and at most {MAX_JSON_ELEMENTS} are written as JSON"
            raise InputError(f"output {name!r}", problem, f"Ask for it in binary: Accept: {_BYTES}, or parameters.binary_data = true.")


def _read_content_type(headers: Mapping[str, str]) -> tuple[str, str]:
    """The media type and the charset in ``Content-Type`` (RFC 9110, section 8.3), in lower case; empty where they are not said."""
    media, *parameters = headers.get("content-type", "").lower().split(";")
    pairs = [parameter.partition("=") for parameter in parameters]
    return media.strip(), next((value.strip().strip('"') for name, _, value in pairs if name.strip() == "charset"), "")


def _check_charset(charset: str) -> None:
    if charset not in ("", *_CHARSETS):
        raise InputError("Content-Type", f"its charset is {charset!r}, and texts are read as UTF-8", "Send UTF-8.")
