"""Folds constants and fuses operators with onnxslim."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edgekit_converters.passes.base import PassResult

if TYPE_CHECKING:
    from onnx import ModelProto

_log = logging.getLogger(__name__)


class Slim:
    """Runs onnxslim, and keeps the model as it was where onnxslim fails or what it makes is not valid ONNX.

    onnxslim only makes a model smaller, so a model is converted without it too. The failure is logged.
    """

    def run(self, model: ModelProto) -> PassResult:
        """*model* with constants folded and operators fused; inputs, outputs, opset and IR version stay."""
        import onnx
        import onnxslim

        given = onnx.ModelProto()
        given.CopyFrom(model)
        try:
            slimmed = onnxslim.slim(given)
            # It drops an input that nothing uses, and callers go on giving it.
            del slimmed.graph.input[:]
            slimmed.graph.input.extend(model.graph.input)
            onnx.checker.check_model(slimmed, full_check=True)
        except Exception as error:  # noqa: BLE001 - onnxslim's rules raise whatever their bugs raise
            _log.warning("onnxslim failed, so the graph stays as it was: %s: %s", type(error).__name__, error)
            return PassResult(model, modified=False)
        slimmed.ir_version = model.ir_version
        return PassResult(slimmed, modified=slimmed != model)
