"""Which opset an ONNX file is written in: one that the device reads, and that has what the file needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.errors import ConversionError
from edgekit.runtimes.packages import summarize

if TYPE_CHECKING:
    from onnx import ModelProto

ONNX_DOMAINS = ("", "ai.onnx")
#: From this opset on QuantizeLinear and DequantizeLinear have an axis, and Cast knows bfloat16 (onnx/docs/Changelog.md).
FIRST_WITH_AXIS = 13
# What onnx's converter says of an operator that it cannot rewrite: no_previous_version.h and BaseConverter.h.
_NAMED = re.compile(r"No Previous Version of (\w+) exists|No Adapter (?:From|To) Version \S+ for (\w+)")


def find_opset(model: ModelProto) -> int:
    """The version of ONNX's own operators that *model* is written in."""
    return next(int(one.version) for one in model.opset_import if one.domain in ONNX_DOMAINS)


def fit_opset(model: ModelProto, oldest: int, newest: int | None) -> ModelProto:
    """*model* in an opset from *oldest* to *newest*, which is no bound where None; itself where it is there already.

    Raises:
        ConversionError: an operator cannot be said in that opset; the message names both.
    """
    if newest is not None and newest < oldest:
        raise ConversionError("onnx", f"the device reads opset {newest} at most, and this needs opset {oldest}", "Choose another precision.")
    found = find_opset(model)
    wanted = max(found, oldest) if newest is None else min(max(found, oldest), newest)
    return model if wanted == found else _convert(model, found, wanted)


def _convert(model: ModelProto, found: int, wanted: int) -> ModelProto:
    """*model* rewritten by onnx's version converter, which raises RuntimeError where it has no rule, and checked."""
    import onnx

    try:
        converted: ModelProto = onnx.version_converter.convert_version(model, wanted)
        onnx.checker.check_model(converted, full_check=True)
    except Exception as error:
        # The checker's ValidationError and the inference's InferenceError have no common root with RuntimeError.
        raise _refuse(str(error), found, wanted) from error
    return converted


def _refuse(said: str, found: int, wanted: int) -> ConversionError:
    match = _NAMED.search(said)
    if match is None:
        problem = f"onnx's version converter cannot bring it from opset {found} to opset {wanted}: {summarize(RuntimeError(said))}"
    else:
        name = match.group(1) or match.group(2)
        problem = f"its operator {name} of opset {found} cannot be said in opset {wanted}: onnx's version converter has no rule for it"
    return ConversionError("onnx", problem, f"Export the model with opset {wanted}.")
