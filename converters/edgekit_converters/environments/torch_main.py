"""Runs in the workstation's own Python, in a process of its own: one PyTorch model to an exported program and ONNX.

Called with two paths, the request (an ExportRequest) and the response, both JSON. The response has ``result``, an
ExportReply, or ``error`` with a message.
"""

import json
import os
import resource
import sys
from pathlib import Path

import msgspec

from edgekit.errors import EdgekitError, InputError
from edgekit.measuring_frames import Refused
from edgekit_converters.torch_exporting import ExportReply, ExportReport, ExportRequest

_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")


def export(request: ExportRequest) -> ExportReport:
    """Bring the model of *request* to life, and export it."""
    from edgekit_converters.torch_worker.exporting import export_model

    if request.kind == "factory":
        from edgekit_converters.torch_worker.factories import load_factory as load
    elif request.kind == "program":
        from edgekit_converters.torch_worker.programs import load_program as load
    else:
        from edgekit_converters.torch_worker.huggingface import load_directory as load
    return export_model(load(request), request)


def answer(request: ExportRequest) -> ExportReply:
    """The report on *request*, or why there is none; memory that is not there is the model's fault."""
    try:
        return ExportReply(report=export(request))
    except EdgekitError as error:
        return ExportReply(refused=Refused.of(error))
    except MemoryError:
        return _refuse(request, "this machine has too little memory for it", "Give a smaller model.")
    except Exception as error:  # noqa: BLE001 - every failure goes to the caller, who tells it
        return _refuse(request, f"its export failed: {type(error).__name__}: {error}", "Export it to ONNX yourself, and give that file.")


def _refuse(request: ExportRequest, problem: str, remedy: str) -> ExportReply:
    return ExportReply(refused=Refused.of(InputError(request.subject, problem, remedy)))


def confine(request: ExportRequest) -> None:
    """No more memory than this machine has, no word to the network, and of a file that is no code of the user's no pickle."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    resource.setrlimit(resource.RLIMIT_DATA, (total, total))
    os.environ.update(dict.fromkeys(_OFFLINE, "1"))
    if request.kind != "factory":
        # Read by torch.load, whose callers may ask for more than weights.
        os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"


def main() -> None:
    """Answer the request at the first path with a file at the second."""
    request_path, response_path = map(Path, sys.argv[1:])
    request = ExportRequest.decode(request_path.read_bytes(), "export request")
    confine(request)
    response = {"result": msgspec.to_builtins(answer(request))}
    response_path.write_text(json.dumps(response), encoding="utf-8")


if __name__ == "__main__":
    main()
