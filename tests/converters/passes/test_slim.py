"""Slimming: fewer operators and the same answers, or the model as it was."""

import logging

import numpy as np
import onnx
import onnxslim
from onnx import helper
from onnx.reference import ReferenceEvaluator

from edgekit_converters.passes.slim import Slim


def _add_norm(model: onnx.ModelProto) -> onnx.ModelProto:
    """*model* with a batch norm behind its convolutions, as an exporter in training mode leaves it."""
    rng = np.random.default_rng(2)
    for name in ("scale", "shift", "mean", "variance"):
        model.graph.initializer.append(onnx.numpy_helper.from_array(rng.uniform(0.5, 1.5, 8).astype(np.float32), name))
    model.graph.node.append(helper.make_node("BatchNormalization", ["features", "scale", "shift", "mean", "variance"], ["normed"]))
    model.graph.output[0].name = "normed"
    return model


def test_batch_norm_is_folded_and_the_answers_stay(make_conv) -> None:
    """A batch norm disappears into the convolution before it."""
    model = _add_norm(make_conv())
    result = Slim().run(model)
    assert result.modified
    assert "BatchNormalization" not in {node.op_type for node in result.model.graph.node}
    image = np.random.default_rng(3).normal(size=(2, 3, 8, 8)).astype(np.float32)
    wanted, found = (ReferenceEvaluator(one).run(None, {"image": image})[0] for one in (model, result.model))
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_borders_and_versions_stay(make_conv) -> None:
    """Inputs, outputs, opset and IR version are those of the model that was given."""
    model = make_conv()
    slimmed = Slim().run(model).model
    assert (slimmed.graph.input, slimmed.graph.output) == (model.graph.input, model.graph.output)
    assert (slimmed.ir_version, slimmed.opset_import) == (model.ir_version, model.opset_import)


def test_model_that_was_given_stays(make_conv) -> None:
    """The pass works on a copy."""
    model = _add_norm(make_conv())
    before = model.SerializeToString()
    Slim().run(model)
    assert model.SerializeToString() == before


def test_model_stays_where_onnxslim_fails(make_conv, monkeypatch, caplog) -> None:
    """Where onnxslim fails the model stays as it was, and the log says so."""

    def fail(_: onnx.ModelProto) -> onnx.ModelProto:
        raise KeyError("a bug")

    monkeypatch.setattr(onnxslim, "slim", fail)
    model = make_conv()
    with caplog.at_level(logging.WARNING):
        result = Slim().run(model)
    assert not result.modified
    assert result.model == model
    assert "a bug" in caplog.text


def test_model_stays_where_the_result_is_not_valid(make_conv, monkeypatch) -> None:
    """What onnxslim makes is checked, and not used where it is not valid ONNX."""

    def spoil(model: onnx.ModelProto) -> onnx.ModelProto:
        del model.graph.initializer[:]
        return model

    monkeypatch.setattr(onnxslim, "slim", spoil)
    model = make_conv()
    assert not Slim().run(model).modified


def test_an_input_that_nothing_uses_stays(make_conv) -> None:
    """Callers give every input that the source has, so one that the graph does not look at is still an input."""
    model = make_conv()
    model.graph.input.append(helper.make_tensor_value_info("unused", onnx.TensorProto.FLOAT, ["batch", 2]))
    assert [value.name for value in Slim().run(model).model.graph.input] == ["image", "unused"]
