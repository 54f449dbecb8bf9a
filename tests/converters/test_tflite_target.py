"""TFLite: the same answers as the source's, whatever became of names, shapes and axes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.conversion import Calibration
from edgekit.errors import ConversionError, TransferError
from edgekit_converters import tflite_target
from edgekit_converters.tflite_target import TFLiteTarget

pytestmark = [
    pytest.mark.usefixtures("onnx2tf"),
    # The quantizer looks at all tensors, as it must, and LiteRT warns that this takes memory.
    pytest.mark.filterwarnings("ignore:Warning. Enabling `experimental_preserve_all_tensors`:UserWarning"),
]
RNG = np.random.default_rng(5)


def _floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def test_float_variant_gives_the_source_answers(digits, read, make_variant, answer) -> None:
    """The digits in fp32 deviate by rounding alone, on any number of samples at once."""
    path, _, evaluation = digits
    source = read(path)
    inputs = {"image": evaluation["image"][:50]}
    artifact, directory = make_variant(TFLiteTarget(), source)
    np.testing.assert_allclose(answer(source, inputs, artifact, directory)["logits"], answer(source, inputs)["logits"], atol=1e-4)


def test_int8_variant_keeps_the_answers(digits, read, make_variant, answer) -> None:
    """The digits in int8 take a third of the room, agree on nearly every sample, and deviate by less than 1 of 24."""
    path, calibration, evaluation = digits
    source = read(path)
    inputs = {"image": evaluation["image"]}
    artifact, directory = make_variant(TFLiteTarget(), source, "int8", calibration)
    wanted, found = answer(source, inputs)["logits"], answer(source, inputs, artifact, directory)["logits"]
    assert np.mean(wanted.argmax(1) == found.argmax(1)) > 0.99
    assert np.abs(wanted - found).max() < 1
    assert artifact.size < source.path.stat().st_size / 3


def test_real_model_keeps_its_accuracy(fashion, read, make_variant, answer) -> None:
    """A model of Fashion-MNIST recognises as many pictures in int8 as in float, within one in a hundred."""
    path, calibration, evaluation = fashion
    source = read(path)
    inputs = {"input": evaluation["input"]}
    artifact, directory = make_variant(TFLiteTarget(), source, "int8", calibration)
    right = [
        np.mean(one["logits"].argmax(1) == evaluation["labels"]) for one in (answer(source, inputs), answer(source, inputs, artifact, directory))
    ]
    assert right[1] > right[0] - 0.01


def test_map_with_ambiguous_shape_keeps_its_axes(make_conv, read, make_variant, answer) -> None:
    """An output of 8 x 8 x 8, whose axes its shape does not tell apart, comes out in the source's order."""
    source = read(make_conv(channels=8, size=8))
    inputs = {"image": _floats(3, 8, 8, 8)}
    artifact, directory = make_variant(TFLiteTarget(), source)
    assert artifact.outputs[0].permutation is not None
    np.testing.assert_allclose(answer(source, inputs, artifact, directory)["features"], answer(source, inputs)["features"], atol=1e-4)


def test_int8_map_keeps_its_axes(make_conv, read, make_variant, answer) -> None:
    """The order of axes found on the float file holds for the int8 file too."""
    source = read(make_conv(channels=3, size=16))
    inputs = {"image": _floats(40, 3, 16, 16)}
    artifact, directory = make_variant(TFLiteTarget(), source, "int8", Calibration(inputs))
    wanted = answer(source, inputs)["features"]
    assert np.abs(answer(source, inputs, artifact, directory)["features"] - wanted).max() < 0.1 * np.ptp(wanted)


@pytest.mark.parametrize("name", ["x:0", "input.1", "a/b", "été", "two words"])
def test_any_name_of_an_input_is_kept(name, make_conv, read, make_variant, answer) -> None:
    """An input is known by the source's name, also where onnx2tf would change it."""
    source = read(make_conv(name=name, classes=4))
    inputs = {name: _floats(2, 3, 8, 8)}
    artifact, directory = make_variant(TFLiteTarget(), source)
    np.testing.assert_allclose(answer(source, inputs, artifact, directory)["scores"], answer(source, inputs)["scores"], atol=1e-4)


def test_inputs_of_one_shape_are_not_mixed_up(make_model, read, make_variant, answer) -> None:
    """With two inputs of the same shape, each is bound to its own, and so are two outputs."""
    nodes = [helper.make_node("Sub", ["left", "right"], ["difference"]), helper.make_node("Div", ["left", "right"], ["quotient"])]
    shape = ["batch", 4]
    source = read(make_model(nodes, {"left": shape, "right": shape}, {"difference": shape, "quotient": shape}))
    inputs = {"left": _floats(3, 4), "right": 2 + np.abs(_floats(3, 4))}
    found = answer(source, inputs, *make_variant(TFLiteTarget(), source))
    for name, wanted in answer(source, inputs).items():
        np.testing.assert_allclose(found[name], wanted, atol=1e-5)


def test_fixed_batch_stays(make_conv, read, make_variant, answer) -> None:
    """A source that takes four samples at a time becomes a file that does, in int8 too."""
    source = read(make_conv(batch=4, classes=3))
    inputs = {"image": _floats(4, 3, 8, 8)}
    artifact, directory = make_variant(TFLiteTarget(), source, "int8", Calibration({"image": _floats(18, 3, 8, 8)}))
    assert artifact.inputs[0].native.shape[0] == 4
    assert answer(source, inputs, artifact, directory)["scores"].shape == (4, 3)


def test_sequence_model_keeps_its_answers(make_model, read, make_variant, answer) -> None:
    """A convolution over a sequence, with three axes, keeps its answers and their order."""
    weights = {"w": _floats(6, 5, 3)}
    source = read(make_model([helper.make_node("Conv", ["x", "w"], ["y"])], {"x": ["batch", 5, 20]}, {"y": ["batch", 6, 18]}, weights))
    inputs = {"x": _floats(2, 5, 20)}
    np.testing.assert_allclose(answer(source, inputs, *make_variant(TFLiteTarget(), source))["y"], answer(source, inputs)["y"], atol=1e-4)


def test_integer_input_keeps_its_dtype(make_model, read, make_variant, answer) -> None:
    """A table looked up by int64 indices takes int64 as the source does."""
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"]), helper.make_node("ReduceSum", ["rows", "axis"], ["y"], keepdims=0)]
    weights = {"table": _floats(10, 6), "axis": np.array([1], np.int64)}
    source = read(make_model(nodes, {"ids": ["batch", 5]}, {"y": ["batch", 6]}, weights, dtype=TensorProto.INT64))
    inputs = {"ids": RNG.integers(0, 10, (3, 5))}
    np.testing.assert_allclose(answer(source, inputs, *make_variant(TFLiteTarget(), source))["y"], answer(source, inputs)["y"], atol=1e-5)


def test_onnx2tf_runs_once_for_both_precisions(digits, read, make_variant, monkeypatch) -> None:
    """The int8 variant stands on the same fp32 file, which is made once."""
    path, calibration, _ = digits
    source = read(path)
    make_variant(TFLiteTarget(), source)
    monkeypatch.setattr(tflite_target, "run_tool", None)
    make_variant(TFLiteTarget(), source, "int8", calibration)


def test_same_source_gives_the_same_bytes(digits, read, make_variant) -> None:
    """Made twice from the beginning, a variant has the same digest."""
    path, calibration, _ = digits
    source = read(path)
    made = []
    for _ in range(2):
        source.path.with_suffix(".tflite").unlink(missing_ok=True)
        made.append([make_variant(TFLiteTarget(), source, precision, calibration)[0].files for precision in ("fp32", "int8")])
    assert made[0] == made[1]


def test_operator_without_a_counterpart_is_named(make_model, read, make_variant) -> None:
    """Where TFLite has no such operator, the refusal names it."""
    nodes = [helper.make_node("CDist", ["x", "x"], ["y"], domain="com.microsoft", metric="euclidean")]
    model = make_model(nodes, {"x": ["batch", 4]}, {"y": ["batch", "k"]})
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(ConversionError, match=r"(?i)cdist"):
        make_variant(TFLiteTarget(), read(model))


def test_second_varying_size_is_refused(make_model, read, make_variant) -> None:
    """A size other than the batch that may vary cannot be guessed, and the refusal names input and size."""
    source = read(make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["batch", "length"]}, {"y": ["batch", "length"]}))
    with pytest.raises(ConversionError, match=r"'x'.*'length'"):
        make_variant(TFLiteTarget(), source)


def test_int8_without_calibration_is_refused(digits, read, make_variant) -> None:
    """Static int8 without data is refused with the option that gives them."""
    with pytest.raises(ConversionError, match="--calibration"):
        make_variant(TFLiteTarget(), read(digits[0]), "int8")


def test_environment_that_cannot_be_fetched_stops_only_this_format(digits, read, make_variant, monkeypatch) -> None:
    """Where the environment cannot be fetched it is this format that cannot be made, so a build goes on without it."""

    def fail(*_: object, **__: object) -> None:
        raise TransferError("environment 'onnx2tf'", "it could not be made: no network", "Check the network.")

    monkeypatch.setattr(tflite_target, "ensure_environment", fail)
    with pytest.raises(ConversionError, match="no network"):
        make_variant(TFLiteTarget(), read(digits[0]))


def test_nothing_is_printed(digits, read, make_variant, capfd) -> None:
    """Neither onnx2tf nor LiteRT nor its quantizer reaches the terminal."""
    path, calibration, _ = digits
    make_variant(TFLiteTarget(), read(path), "int8", calibration)
    assert capfd.readouterr() == ("", "")


def test_tools_are_listed_with_versions() -> None:
    """What made a variant is listed, onnx2tf with the version in its lock file."""
    tools = TFLiteTarget().list_tools()
    assert tools["onnx2tf"] == "2.6.9"
    assert {"ai-edge-litert", "ai-edge-quantizer"} <= set(tools)


def test_source_is_left_as_it_was(digits, read, make_variant) -> None:
    """onnx2tf rewrites the file that it is given; the source is not that file."""
    source = read(digits[0])
    before = source.path.read_bytes()
    make_variant(TFLiteTarget(), source)
    assert source.path.read_bytes() == before
    assert {path.name for path in source.path.parent.iterdir()} == {"digits.onnx", "digits.tflite"}
    onnx.checker.check_model(onnx.load(source.path))
