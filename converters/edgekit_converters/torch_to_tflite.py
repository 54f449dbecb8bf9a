"""From an exported program of PyTorch straight to TFLite, by litert-torch in an environment of its own."""

from __future__ import annotations

import logging
from pathlib import Path

from edgekit.conversion import SourceModel
from edgekit.environments import ensure_environment, run_tool
from edgekit_converters.calibrating import find_batch
from edgekit_converters.environments import LITERT_TORCH, LITERT_TORCH_SCRIPT
from edgekit_converters.tflite_bindings import MadeFile

TOOL = "litert-torch"
#: Seconds that one conversion may take; MobileNetV2 takes ten.
_DEADLINE_S = 1800.0
_log = logging.getLogger(__name__)


def make_from_torch(source: SourceModel, directory: Path) -> MadeFile:
    """The float TFLite file of *source*'s exported program, in *directory*.

    Raises:
        ConversionError: litert-torch cannot express it; the message has its words.
        DeviceError: the environment is not here, and offline nothing may be fetched; or no Python fits it.
        TransferError: a package of the environment could not be fetched.
    """
    program = source.find_form("torch")
    python = ensure_environment(LITERT_TORCH, say=_log.warning)
    batch = find_batch(source)
    inputs = [{"shape": [batch if isinstance(size, str) else size for size in spec.shape], "dtype": spec.dtype} for spec in source.inputs]
    result = run_tool(python, LITERT_TORCH_SCRIPT, {"model": str(program.absolute()), "output": str(directory), "inputs": inputs}, _DEADLINE_S)
    names = dict(zip([spec.name for spec in (*source.inputs, *source.outputs)], (*result["inputs"], *result["outputs"]), strict=True))
    return MadeFile(Path(result["tflite"]), names, TOOL)
