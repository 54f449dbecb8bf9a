"""ONNX: the same answers, in files that older runtimes read."""

import numpy as np
import onnx
import pytest
from onnx import helper

from edgekit.conversion import Calibration, Order
from edgekit.errors import ConversionError
from edgekit.precisions import find_precision
from edgekit.target_profiles import PROFILES, TargetProfile, find_profile
from edgekit_converters.onnx_target import OnnxTarget, may_overflow

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


@pytest.mark.parametrize("precision", [one for one in OnnxTarget.precisions if one != "fp32"])
def test_precisions_of_a_dense_model_keep_its_answers(precision, make_dense, read, make_variant, answer) -> None:
    """A model of dense layers keeps the answers in each precision, in less room, within a fifth of their range for four bits."""
    source = read(make_dense())
    tokens = {"tokens": RNG.integers(0, 100, (16, 8))}
    artifact, directory = make_variant(OnnxTarget(), source, precision, Calibration(tokens))
    wanted, found = answer(source, tokens)["scores"], answer(source, tokens, artifact, directory)["scores"]
    assert np.abs(wanted - found).max() < (0.2 if precision == "int4-weights" else 0.06) * np.ptp(wanted)
    assert artifact.size < 0.65 * source.path.stat().st_size


def test_large_dense_layers_are_worth_more_precisions(make_dense, make_conv, read) -> None:
    """Of a model that is mostly dense layers of a million weights, dynamic integers and integer weights are suggested too."""
    assert OnnxTarget().suggest_precisions(read(make_dense(width=512))) == ("fp32", "int8", "int8-dynamic", "int8-weights")
    assert OnnxTarget().suggest_precisions(read(make_dense())) == ("fp32", "int8")
    assert OnnxTarget().suggest_precisions(read(make_conv(classes=3))) == ("fp32", "int8")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_file_is_of_an_opset_that_the_device_reads(precision, digits, read, answer, tmp_path) -> None:
    """For a device that reads opset 17 and IR version 8 the digits, of opset 20, are of those, and they are still recognised."""
    old = TargetProfile(name="old-board", summary="a board with an old runtime", arch="aarch64", precisions={}, opset=17, ir_version=8)
    path, calibration, evaluation = digits
    source = read(path)
    artifact = OnnxTarget().convert(source, Order(find_precision(precision), calibration, old), tmp_path)
    model = onnx.load(tmp_path / "model.onnx")
    assert ([one.version for one in model.opset_import if one.domain == ""], model.ir_version) == ([17], 8)
    inputs = {"image": evaluation["image"]}
    wanted, found = answer(source, inputs)["logits"], answer(source, inputs, artifact, tmp_path)["logits"]
    assert np.mean(wanted.argmax(1) == found.argmax(1)) > 0.99


def test_device_with_fixed_shapes_gets_one_sample_at_a_time(digits, read, answer, tmp_path) -> None:
    """A file for a device that takes no size that varies has the batch 1, and callers send any number of samples."""
    path, calibration, evaluation = digits
    source = read(path)
    artifact = OnnxTarget().convert(source, Order(find_precision("int8"), calibration, find_profile("hailo-8")), tmp_path)
    assert artifact.inputs[0].native.shape == (1, 1, 8, 8)
    inputs = {"image": evaluation["image"][:5]}
    found = answer(source, inputs, artifact, tmp_path)["logits"]
    assert found.shape == (5, 10)
    assert np.abs(answer(source, inputs)["logits"] - found).max() < 1


def test_old_opset_is_raised_for_scales_of_channels(make_conv, read, make_variant, answer) -> None:
    """QuantizeLinear has an axis from opset 13 on, so the int8 variant of an older source is written in that."""
    model = make_conv(classes=3)
    model.opset_import[0].version = 11
    source = read(model)
    inputs = {"image": _floats(8, 3, 8, 8)}
    artifact, directory = make_variant(OnnxTarget(), source, "int8", Calibration(inputs))
    assert onnx.load(directory / artifact.files[0].path).opset_import[0].version == 13
    wanted, found = answer(source, inputs)["scores"], answer(source, inputs, artifact, directory)["scores"]
    assert np.abs(wanted - found).max() < 0.05 * np.ptp(wanted)


def test_weights_are_reduced_where_products_may_overflow() -> None:
    """Of all profiles only x86 without 8-bit dot products adds products of bytes in 16 bits; without a profile nobody is assumed to."""
    assert {name for name, profile in PROFILES.items() if may_overflow(profile)} == {"x86-64", "nvidia-gpu"}
    assert not may_overflow(None)


def test_missing_package_is_an_obstacle(monkeypatch) -> None:
    """Where a package is not installed, the obstacle names it and the command that installs it."""
    monkeypatch.setattr("edgekit_converters.onnx_target._PACKAGES", ("onnx", "not-there"))
    assert OnnxTarget().find_obstacle() == "not-there is not installed here. Run: pip install 'edgekit[convert]'."
