"""Describes one model in a process of its own, which a runtime that crashes takes with it: run by edgekit.inspection.

Called with two paths, the request with a *path*, and the response, both JSON. The response has ``result``, with a
*description* or what was *refused*.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from edgekit.errors import EdgekitError
from edgekit.inspection import describe_model
from edgekit.measuring_frames import Refused
from edgekit.measuring_worker import bound_memory


def answer(path: Path) -> dict[str, Any]:
    """The description of the model at *path*, or edgekit's own refusal; any other error ends the process."""
    try:
        return {"description": msgspec.to_builtins(describe_model(path))}
    except EdgekitError as error:
        return {"refused": msgspec.to_builtins(Refused.of(error))}


def main() -> None:
    """Answer the request at the first path with a file at the second, in three quarters of this machine's memory."""
    request, response = map(Path, sys.argv[1:])
    bound_memory(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4)
    result = answer(Path(json.loads(request.read_text(encoding="utf-8"))["path"]))
    response.write_text(json.dumps({"result": result}), encoding="utf-8")


if __name__ == "__main__":
    main()
