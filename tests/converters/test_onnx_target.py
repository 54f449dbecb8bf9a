"""ONNX: the same answers, in files that older runtimes read."""

import numpy as np
import onnx
import pytest
from onnx import helper

from edgekit.conversion import Calibration
from edgekit.errors import ConversionError
from edgekit_converters.onnx_target import OnnxTarget

RNG = np.random.default_rng(6)


def _floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def test_float_variant_gives_the_source_answers(digits, read, make_variant, answer) -> None:
    """The digits in fp32 deviate by rounding alone."""
    path, _, evaluation = digits
    source = read(path)
    inputs = {"image": evaluation["image"][:50]}
    found = answer(source, inputs, *make_variant(OnnxTarget(), source))["logits"]
    np.testing.assert_allclose(found, answer(source, inputs)["logits"], atol=1e-4)


def test_int8_variant_keeps_the_answers(digits, read, make_variant, answer) -> None:
    """The digits in int8 take a third of the room, agree on nearly every sample, and deviate by less than 1 of 24."""
    path, calibration, evaluation = digits
    source = read(path)
    inputs = {"image": evaluation["image"]}
    artifact, directory = make_variant(OnnxTarget(), source, "int8", calibration)
    wanted, found = answer(source, inputs)["logits"], answer(source, inputs, artifact, directory)["logits"]
    assert np.mean(wanted.argmax(1) == found.argmax(1)) > 0.99
    assert np.abs(wanted - found).max() < 1
    assert artifact.size < source.path.stat().st_size / 3


def test_real_model_keeps_its_accuracy(fashion, read, make_variant, answer) -> None:
    """A model of Fashion-MNIST recognises as many pictures in int8 as in float, within one in a hundred."""
    path, calibration, evaluation = fashion
    source = read(path)
    inputs = {"input": evaluation["input"]}
    artifact, directory = make_variant(OnnxTarget(), source, "int8", calibration)
    right = [
        np.mean(one["logits"].argmax(1) == evaluation["labels"]) for one in (answer(source, inputs), answer(source, inputs, artifact, directory))
    ]
    assert right[1] > right[0] - 0.01


def test_int8_is_what_cpus_multiply_fastest(digits, read, make_variant) -> None:
    """Activations are uint8 and weights int8 with one scale for each channel."""
    path, calibration, _ = digits
    artifact, directory = make_variant(OnnxTarget(), read(path), "int8", calibration)
    graph = onnx.load(directory / artifact.files[0].path).graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    zeros = [weights[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert {zero.data_type for zero in zeros} == {onnx.TensorProto.UINT8}
    filters = [weights[node.input[0]] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in weights]
    assert any(one.data_type == onnx.TensorProto.INT8 and len(one.dims) == 4 for one in filters)
    scales = [weights[node.input[1]] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in weights]
    assert any(list(scale.dims) == [64] for scale in scales)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_older_runtimes_read_it(precision, digits, read, make_variant) -> None:
    """The IR version is one that ONNX Runtime 1.17 reads, and the opset is the source's."""
    path, calibration, _ = digits
    artifact, directory = make_variant(OnnxTarget(), read(path), precision, calibration)
    model = onnx.load(directory / artifact.files[0].path)
    assert model.ir_version <= 9
    assert {one.version for one in model.opset_import if one.domain == ""} == {20}


def test_newer_ir_version_is_lowered(make_conv, read, make_variant) -> None:
    """A source of a newer IR version becomes a file that older runtimes read."""
    model = make_conv()
    model.ir_version = 12
    artifact, directory = make_variant(OnnxTarget(), read(model))
    assert onnx.load(directory / artifact.files[0].path).ir_version == 9


def test_same_source_gives_the_same_bytes(digits, read, make_variant) -> None:
    """Made twice, a variant has the same digest."""
    path, calibration, _ = digits
    source = read(path)
    for precision in ("fp32", "int8"):
        made = [make_variant(OnnxTarget(), source, precision, calibration)[0].files for _ in range(2)]
        assert made[0] == made[1]


def test_fixed_batch_is_calibrated_in_batches(make_conv, read, make_variant, answer) -> None:
    """A source that takes four samples at a time is calibrated with four at a time."""
    source = read(make_conv(batch=4, classes=3))
    artifact, directory = make_variant(OnnxTarget(), source, "int8", Calibration({"image": _floats(18, 3, 8, 8)}))
    assert answer(source, {"image": _floats(4, 3, 8, 8)}, artifact, directory)["scores"].shape == (4, 3)


def test_quantised_source_is_not_quantised_again(digits, read, make_variant, answer) -> None:
    """A source that is int8 already is kept as it is: its int8 variant gives the same answers to the bit."""
    path, calibration, _ = digits
    artifact, directory = make_variant(OnnxTarget(), read(path), "int8", calibration)
    source = read(directory / artifact.files[0].path)
    assert source.precision == "int8"
    inputs = {"image": calibration.arrays["image"][:8]}
    kept = answer(source, inputs, *make_variant(OnnxTarget(), source, "int8", calibration))
    np.testing.assert_array_equal(kept["logits"], answer(source, inputs)["logits"])


def test_nothing_to_quantise_is_said(make_model, read, make_variant) -> None:
    """A model without an operator that has an integer form is refused as int8."""
    source = read(make_model([helper.make_node("Sin", ["x"], ["y"])], {"x": ["batch", 4]}, {"y": ["batch", 4]}))
    with pytest.raises(ConversionError, match="no operator"):
        make_variant(OnnxTarget(), source, "int8", Calibration({"x": _floats(8, 4)}))


def test_int8_without_calibration_is_refused(digits, read, make_variant) -> None:
    """Static int8 without data is refused with the option that gives them."""
    with pytest.raises(ConversionError, match="--calibration"):
        make_variant(OnnxTarget(), read(digits[0]), "int8")


def test_only_the_model_is_left(digits, read, make_variant, capfd) -> None:
    """No other file lies in the directory afterwards, and nothing is printed."""
    path, calibration, _ = digits
    _, directory = make_variant(OnnxTarget(), read(path), "int8", calibration)
    assert [one.name for one in directory.iterdir()] == ["model.onnx"]
    assert capfd.readouterr() == ("", "")


def test_missing_package_is_an_obstacle(monkeypatch) -> None:
    """Where a package is not installed, the obstacle names it and the command that installs it."""
    monkeypatch.setattr("edgekit_converters.onnx_target._PACKAGES", ("onnx", "not-there"))
    assert OnnxTarget().find_obstacle() == "not-there is not installed here. Run: pip install 'edgekit[convert]'."
