"""From the ONNX hub to TFLite, by onnx2tf in an environment of its own."""

from __future__ import annotations

import itertools
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.conversion import HUB, SourceModel
from edgekit.environments import ensure_environment, run_tool
from edgekit.errors import ConversionError
from edgekit_converters.environments import ONNX2TF, ONNX2TF_SCRIPT
from edgekit_converters.onnx_preparing import fix_batch
from edgekit_converters.passes.base import run_passes
from edgekit_converters.passes.fix_shapes import FixShapes
from edgekit_converters.passes.last_states import LastStates
from edgekit_converters.passes.rename_tensors import RenameTensors
from edgekit_converters.passes.slim import Slim
from edgekit_converters.tflite_bindings import MadeFile

if TYPE_CHECKING:
    from onnx import ModelProto

TOOL = "onnx2tf"
#: Seconds that one conversion may take; a small model takes about one.
_DEADLINE_S = 1800.0
#: Names that onnx2tf leaves as they are; a colon, for one, becomes two underscores.
_KEPT = re.compile(r"[A-Za-z_][A-Za-z0-9_./]*")
#: For each recurrent operator, those of its outputs that onnx2tf fills with other numbers than the last state.
_STATES = {"LSTM": ("Y", "Y_h", "Y_c"), "RNN": ("Y", "Y_h")}
_log = logging.getLogger(__name__)


def make_from_onnx(source: SourceModel, directory: Path) -> MadeFile:
    """The float TFLite file of *source*'s ONNX hub, in *directory*.

    Raises:
        ConversionError: onnx2tf cannot express it, or would give other answers; the message names the operator.
        DeviceError: the environment is not here, and offline nothing may be fetched; or no Python fits it.
        TransferError: a package of the environment could not be fetched.
    """
    import onnx

    model = run_passes(onnx.load(source.find_form(HUB)), FixShapes(fix_batch(source)), Slim(), LastStates())
    _check_states(model)
    names = _choose_names(model, [spec.name for spec in (*source.inputs, *source.outputs)])
    fixed = directory / "fixed.onnx"
    onnx.save(run_passes(model, RenameTensors(names)), fixed)
    python = ensure_environment(ONNX2TF, say=_log.warning)
    # Inputs keep the source's order of axes: LiteRT then transposes a 3x96x96 picture in 4 µs, which costs numpy 24.
    request = {"model": str(fixed), "output": str(directory), "keep_shape": [names[spec.name] for spec in source.inputs]}
    return MadeFile(Path(run_tool(python, ONNX2TF_SCRIPT, request, _DEADLINE_S)["tflite"]), names, TOOL)


def _check_states(model: ModelProto) -> None:
    """Refuse a last state that onnx2tf gets wrong: of an LSTM or RNN it gives zeros, or its initial state, for it.

    Measured with onnx2tf 2.6.9 in every direction, with and without an initial state. The whole sequence is right, from
    which LastStates has read what it can.
    """
    used = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    for node in model.graph.node:
        for place, name in list(enumerate(node.output))[1:]:
            if node.op_type in _STATES and name in used:
                problem = f"onnx2tf gives a wrong last state {_STATES[node.op_type][place]} of {node.op_type} {node.name or name!r}"
                raise ConversionError(
                    "tflite", problem, "Export the model without it, or from PyTorch, which litert-torch converts; or leave out tflite."
                )


def _choose_names(model: ModelProto, names: list[str]) -> dict[str, str]:
    """For each of *names* the name that it gets in the TFLite file: its own, unless onnx2tf would change it."""
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)} | set(names)
    chosen = {}
    for index, name in enumerate(names):
        fresh = (f"tensor{index}{'_' * more}" for more in itertools.count())
        chosen[name] = name if _KEPT.fullmatch(name) else next(one for one in fresh if one not in taken)
    return chosen
