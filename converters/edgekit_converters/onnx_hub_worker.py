"""The process that reads an ONNX file for make_hub: ``python -m edgekit_converters.onnx_hub_worker MEMORY SECONDS``.

It takes a HubRequest on stdin, writes the hub, and answers on stdout with a HubReport, or with why there is none.
"""

import os
import sys
from pathlib import Path

from msgspec.structs import replace

from edgekit.errors import EdgekitError, InputError
from edgekit.measuring_frames import Refused
from edgekit_converters.confining import Limits, confine, ran_out_of_memory
from edgekit_converters.onnx_hub_records import HubReply, HubRequest
from edgekit_converters.onnx_tidying import read_hub
from edgekit_converters.reading_limits import limit_reading


def main() -> None:
    """Answer this process's one request."""
    limits = Limits(int(sys.argv[1]), float(sys.argv[2]))
    confine(limits)
    request = HubRequest.decode(sys.stdin.buffer.read(), "hub request")
    with os.fdopen(os.dup(1), "wb") as answers:
        # What libraries print is for the log.
        os.dup2(2, 1)
        answers.write(answer(request, limits).encode())


def answer(request: HubRequest, limits: Limits) -> HubReply:
    """Make the hub that *request* asks for; what is wrong with the file is an answer too."""
    path = Path(request.path)
    own = path.stat().st_size if path.is_file() else 0
    try:
        return read_hub(request, announce=lambda more: confine(limit_reading(own + more)))
    except EdgekitError as error:
        refused = Refused.of(error)
        return replace(refused, subject=request.subject) if refused.subject == request.path else refused
    except MemoryError:
        return Refused.of(ran_out_of_memory(request.subject, limits))
    except RecursionError:
        return Refused.of(InputError(request.subject, "its graphs are nested too deeply to be read", "Export the model again."))


if __name__ == "__main__":
    main()
