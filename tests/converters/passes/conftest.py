"""A model before and after a pass, run by ONNX Runtime without its own optimisation."""

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import onnxruntime
import pytest

from edgekit.arrays import Array


def _run(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, dict(inputs))


@pytest.fixture(scope="session")
def check_answers() -> Callable[..., None]:
    """Holds one valid model's answers against another's: equal bits, or within *atol*."""

    def check(before: onnx.ModelProto, after: onnx.ModelProto, inputs: Mapping[str, Array], atol: float = 0.0) -> None:
        onnx.checker.check_model(after, full_check=True)
        wanted, found = _run(before, inputs), _run(after, inputs)
        assert [one.shape for one in found] == [one.shape for one in wanted]
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=atol)

    return check


@pytest.fixture(scope="session")
def list_operators() -> Callable[[onnx.ModelProto], list[str]]:
    """The kinds of operators of a model's own graph, in their order."""
    return lambda model: [node.op_type for node in model.graph.node]
