"""TFLite: the same answers as the source's, whatever became of names, shapes and axes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.conversion import Calibration, Order, SourceModel
from edgekit.environments import OFFLINE, PLACE
from edgekit.errors import ConversionError
from edgekit.precisions import find_precision
from edgekit.target_profiles import TargetProfile
from edgekit_converters.tflite_target import TFLiteTarget

pytestmark = [
    pytest.mark.usefixtures("onnx2tf"),
    # The quantizer looks at all tensors, as it must, and LiteRT warns that this takes memory.
    pytest.mark.filterwarnings("ignore:Warning. Enabling `experimental_preserve_all_tensors`:UserWarning"),
]
RNG = np.random.default_rng(5)


def _floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def _take_environments_away(monkeypatch: pytest.MonkeyPatch, empty: Path) -> None:
    monkeypatch.setenv(PLACE, str(empty / "environments"))
    monkeypatch.setenv(OFFLINE, "1")


@pytest.fixture
def as_tflite(tmp_path, read, digits, make_variant):
    """The digits as a source that came in as TFLite, in float or in int8."""

    def make(precision: str) -> SourceModel:
        path, calibration, _ = digits
        source = read(path)
        artifact, directory = make_variant(TFLiteTarget(), source, precision, calibration)
        file = directory / artifact.files[0].path
        shown = {"format": "tflite", "directory": directory, "forms": {"tflite": file}, "precision": precision}
        return replace(source, artifact=artifact, **shown)

    return make


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


def test_onnx2tf_runs_once_for_all_precisions(digits, read, make_variant, monkeypatch, tmp_path) -> None:
    """Every precision stands on the same fp32 file: once it is there, onnx2tf is not needed."""
    path, calibration, _ = digits
    source, target = read(path), TFLiteTarget()
    make_variant(target, source)
    _take_environments_away(monkeypatch, tmp_path)
    for precision in target.precisions:
        make_variant(target, source, precision, calibration)


def test_same_source_gives_the_same_bytes(digits, read, make_variant) -> None:
    """Made twice from the beginning, a variant has the same digest."""
    path, calibration, _ = digits
    source, made = read(path), []
    for _ in range(2):
        target = TFLiteTarget()
        made.append([make_variant(target, source, precision, calibration)[0].files for precision in target.precisions])
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
    with pytest.raises(ConversionError, match=r"'x'.*'length'.*--shape length="):
        make_variant(TFLiteTarget(), source)


def test_int8_without_calibration_is_refused(digits, read, make_variant) -> None:
    """Static int8 without data is refused with the option that gives them."""
    with pytest.raises(ConversionError, match="--calibration"):
        make_variant(TFLiteTarget(), read(digits[0]), "int8")


def test_missing_environment_stops_only_this_format(digits, read, make_variant, monkeypatch, tmp_path) -> None:
    """Where the environment cannot be had it is this format that cannot be made, so a build goes on without it."""
    _take_environments_away(monkeypatch, tmp_path)
    assert TFLiteTarget().find_obstacle() is None
    with pytest.raises(ConversionError, match=r"offline.*edgekit doctor --fix"):
        make_variant(TFLiteTarget(), read(digits[0]))


def test_failure_is_told_for_each_precision_and_found_once(make_model, read, make_variant, monkeypatch, tmp_path) -> None:
    """What hindered one precision hinders the others with the same words, without another run of onnx2tf."""
    nodes = [helper.make_node("CDist", ["x", "x"], ["y"], domain="com.microsoft", metric="euclidean")]
    model = make_model(nodes, {"x": ["batch", 4]}, {"y": ["batch", "k"]})
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    source, target = read(model), TFLiteTarget()
    for precision in ("fp32", "fp16"):
        with pytest.raises(ConversionError, match=r"(?i)cdist"):
            make_variant(target, source, precision)
        _take_environments_away(monkeypatch, tmp_path)


def test_nothing_is_printed(digits, read, make_variant, capfd) -> None:
    """Neither onnx2tf nor LiteRT nor its quantizer reaches the terminal."""
    path, calibration, _ = digits
    make_variant(TFLiteTarget(), read(path), "int8", calibration)
    assert capfd.readouterr() == ("", "")


def test_tools_are_listed_with_versions() -> None:
    """What made a variant is listed, onnx2tf and litert-torch with the versions in their lock files."""
    tools = TFLiteTarget().list_tools()
    assert (tools["onnx2tf"], tools["litert-torch"]) == ("2.6.9", "0.10.0")
    assert {"ai-edge-litert", "ai-edge-quantizer"} <= set(tools)


def test_source_is_left_as_it_was(digits, read, make_variant) -> None:
    """onnx2tf rewrites the file that it is given; the source is not that file."""
    source = read(digits[0])
    before = source.path.read_bytes()
    make_variant(TFLiteTarget(), source)
    assert source.path.read_bytes() == before
    assert {path.name for path in source.path.parent.iterdir()} == {"digits.onnx", "made-from-onnx.tflite"}
    onnx.checker.check_model(onnx.load(source.path))


@pytest.mark.parametrize(("precision", "most"), [("fp16", 0.02), ("int8-dynamic", 0.3), ("int8-weights", 0.2), ("int4-weights", 4)])
def test_reduced_weights_keep_the_answers(precision, most, digits, read, make_variant, answer) -> None:
    """In half precision and with integer weights the digits need no calibration, are smaller, and deviate by little of 24."""
    path, _, evaluation = digits
    source = read(path)
    inputs = {"image": evaluation["image"][:100]}
    artifact, directory = make_variant(TFLiteTarget(), source, precision)
    wanted, found = answer(source, inputs)["logits"], answer(source, inputs, artifact, directory)["logits"]
    assert 0 < np.abs(wanted - found).max() < most
    assert artifact.size < source.path.stat().st_size * (0.6 if precision == "fp16" else 0.45)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_tflite_is_kept_bit_for_bit(precision, as_tflite, make_variant) -> None:
    """A file that came in as TFLite in the numbers that are ordered comes out as it was, float or quantised."""
    source = as_tflite(precision)
    artifact, directory = make_variant(TFLiteTarget(), source, precision)
    assert (directory / artifact.files[0].path).read_bytes() == source.path.read_bytes()
    assert (artifact.inputs, artifact.outputs) == (source.artifact.inputs, source.artifact.outputs)


def test_float_tflite_is_quantised_from(as_tflite, digits, make_variant, answer, monkeypatch, tmp_path) -> None:
    """Of a float file that came in as TFLite int8 is made without any other tool."""
    _, calibration, evaluation = digits
    source = as_tflite("fp32")
    _take_environments_away(monkeypatch, tmp_path)
    artifact, directory = make_variant(TFLiteTarget(), source, "int8", calibration)
    found = answer(source, {"image": evaluation["image"]}, artifact, directory)["logits"]
    assert np.mean(found.argmax(1) == evaluation["labels"]) > 0.95


def test_file_of_the_own_framework_is_taken(digits, read, as_tflite, make_variant, answer, monkeypatch) -> None:
    """Where the source's framework made TFLite beside ONNX, under the same names, that file is taken and no other tool."""
    own = as_tflite("fp32").path
    source = read(digits[0])
    source = replace(source, forms={**source.forms, "tflite": own})
    _take_environments_away(monkeypatch, own.parent)
    artifact, directory = make_variant(TFLiteTarget(), source)
    assert (directory / artifact.files[0].path).read_bytes() == own.read_bytes()
    inputs = {"image": digits[2]["image"][:5]}
    np.testing.assert_allclose(answer(source, inputs, artifact, directory)["logits"], answer(source, inputs)["logits"], atol=1e-4)


def test_file_of_the_own_framework_with_other_answers_is_not_taken(digits, read, as_tflite, make_variant, answer, caplog) -> None:
    """Where that file gives other answers it is made of ONNX after all, and the log says why."""
    own = as_tflite("fp32").path
    graph = onnx.load(digits[0])
    weights = next(tensor for tensor in graph.graph.initializer if len(tensor.dims) == 4)
    weights.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weights), weights.name))
    source = read(graph)
    source = replace(source, forms={**source.forms, "tflite": own})
    artifact, directory = make_variant(TFLiteTarget(), source)
    inputs = {"image": digits[2]["image"][:5]}
    np.testing.assert_allclose(answer(source, inputs, artifact, directory)["logits"], answer(source, inputs)["logits"], atol=1e-4)
    assert "TFLite is made of the source's onnx, since of its tflite it cannot be" in caplog.text


def test_integer_borders_are_for_those_who_want_them(digits, read, answer, tmp_path) -> None:
    """For a compiler that takes integers alone the file has int8 borders, and callers go on seeing floats."""
    path, calibration, evaluation = digits
    source = read(path)
    profile = TargetProfile(name="edge", summary="", arch="aarch64", precisions={"tflite": ("int8",)}, integer_borders=True, fixed_shapes=True)
    artifact = TFLiteTarget().convert(source, Order(find_precision("int8"), calibration, profile), tmp_path)
    assert [one.native.dtype for one in (*artifact.inputs, *artifact.outputs)] == ["int8", "int8"]
    assert all(one.native.quantization is not None for one in (*artifact.inputs, *artifact.outputs))
    inputs = {"image": evaluation["image"]}
    wanted, found = answer(source, inputs)["logits"], answer(source, inputs, artifact, tmp_path)["logits"]
    assert found.dtype == np.float32
    assert np.mean(wanted.argmax(1) == found.argmax(1)) > 0.99


def test_precision_without_effect_is_refused(make_model, read, make_variant) -> None:
    """Where the quantizer finds nothing to change, the variant would only bear another name, and is refused."""
    source = read(make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["batch", 4]}, {"y": ["batch", 4]}))
    with pytest.raises(ConversionError, match="no operator whose numbers the LiteRT quantizer makes int8"):
        make_variant(TFLiteTarget(), source, "int8-weights")


def test_source_without_a_fitting_form_is_told_why(digits, read, make_variant) -> None:
    """A source of which neither PyTorch nor ONNX is there is refused with the reason that its loader noted."""
    source = replace(read(digits[0]), forms={}, absent={"onnx": "OpenVINO writes no ONNX"})
    with pytest.raises(ConversionError, match="OpenVINO writes no ONNX"):
        make_variant(TFLiteTarget(), source)


def _make_detector(make_model) -> onnx.ModelProto:
    """A head as Ultralytics exports it: boxes up to 640 and scores up to 1 in one output, [batch, 4 + 3 classes, 64 places]."""
    weights = {
        "w": _floats(8, 3, 3, 3) * 0.3,
        "box_w": _floats(4, 8, 1, 1),
        "class_w": _floats(3, 8, 1, 1) * 2,
        "box_shape": np.array([0, 4, 64], np.int64),
        "class_shape": np.array([0, 3, 64], np.int64),
        "size": np.array(640, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["features"]),
        helper.make_node("Conv", ["features", "box_w"], ["box_map"]),
        helper.make_node("Conv", ["features", "class_w"], ["class_map"]),
        helper.make_node("Reshape", ["box_map", "box_shape"], ["box_rows"]),
        helper.make_node("Reshape", ["class_map", "class_shape"], ["class_rows"]),
        helper.make_node("Sigmoid", ["box_rows"], ["box_shares"]),
        helper.make_node("Mul", ["box_shares", "size"], ["boxes"]),
        helper.make_node("Sigmoid", ["class_rows"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    return make_model(nodes, {"image": ["batch", 3, 8, 8]}, {"output0": ["batch", 7, 64]}, weights)


def test_scores_of_a_detector_survive_int8(make_model, read, make_variant, answer) -> None:
    """Boxes and scores that are joined in one output do not share an int8 scale, which would round all scores to zero."""
    source = read(_make_detector(make_model))
    inputs = {"image": _floats(20, 3, 8, 8)}
    artifact, directory = make_variant(TFLiteTarget(), source, "int8", Calibration(inputs))
    wanted, found = answer(source, inputs)["output0"], answer(source, inputs, artifact, directory)["output0"]
    assert np.abs(wanted[:, 4:] - found[:, 4:]).mean() < 0.02
    assert np.abs(wanted[:, :4] - found[:, :4]).mean() < 0.02 * 640


def test_norm_with_a_small_deviation_is_not_divided_by_zero(make_model, read, make_variant, answer) -> None:
    """Rows whose deviation is a thousandth of the largest one are normalised in int8 as in float."""
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["hidden"]),
        helper.make_node("LayerNormalization", ["hidden", "one"], ["normal"]),
        helper.make_node("Gemm", ["normal", "v"], ["y"]),
    ]
    weights = {"w": _floats(6, 8), "one": np.ones(8, np.float32), "v": _floats(8, 3)}
    source = read(make_model(nodes, {"x": ["batch", 6]}, {"y": ["batch", 3]}, weights))
    inputs = {"x": _floats(40, 6) * np.repeat(np.array([1, 0.001], np.float32), 20)[:, None]}
    artifact, directory = make_variant(TFLiteTarget(), source, "int8", Calibration(inputs))
    wanted, found = answer(source, inputs)["y"], answer(source, inputs, artifact, directory)["y"]
    assert np.abs(wanted - found)[:20].max() < 0.1 * np.ptp(wanted)


def test_detector_with_integer_borders_is_refused(make_model, read, tmp_path) -> None:
    """Where the output itself must be int8 the two would share a scale after all: that is refused, and says what to do."""
    source = read(_make_detector(make_model))
    profile = TargetProfile(name="edge", summary="", arch="aarch64", precisions={"tflite": ("int8",)}, integer_borders=True)
    order = Order(find_precision("int8"), Calibration({"image": _floats(8, 3, 8, 8)}), profile)
    with pytest.raises(ConversionError, match=r"very different ranges.*an output for each"):
        TFLiteTarget().convert(source, order, tmp_path)
