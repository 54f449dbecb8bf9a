"""ONNX for TensorRT. No GPU takes part: each file is run by ONNX Runtime on the CPU, and its graph held to TensorRT's rules."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.conversion import Calibration, Order
from edgekit.errors import ConversionError, InputError
from edgekit.plugins import TARGETS, load_plugin
from edgekit.precisions import find_precision
from edgekit.target_profiles import find_profile
from edgekit_converters.nvidia_lint import DEQUANTIZE, QUANTIZE, lint
from edgekit_converters.nvidia_target import NvidiaTarget
from edgekit_converters.onnx_target import OnnxTarget


def _floats(*shape, scale=1.0):
    return (np.random.default_rng(8).normal(size=shape) * scale).astype(np.float32)


@pytest.fixture(scope="module")
def residual(make_model) -> onnx.ModelProto:
    """A small ResNet: two convolutions with biases beside a skip connection, upsampling, and a classifier."""
    weights = {
        "stem": _floats(8, 3, 3, 3, scale=0.3),
        "stem_bias": _floats(8, scale=0.1),
        "one": _floats(8, 8, 3, 3, scale=0.1),
        "one_bias": _floats(8, scale=0.1),
        "two": _floats(8, 8, 3, 3, scale=0.1),
        "up": _floats(8, 4, 2, 2, scale=0.3),
        "dense": _floats(5, 4, scale=0.5),
        "dense_bias": _floats(5),
    }
    nodes = [
        helper.make_node("Conv", ["image", "stem", "stem_bias"], ["s"], pads=[1] * 4),
        helper.make_node("Relu", ["s"], ["r"]),
        helper.make_node("Conv", ["r", "one", "one_bias"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "two"], ["branch"], pads=[1] * 4),
        helper.make_node("Add", ["branch", "r"], ["sum"]),
        helper.make_node("ConvTranspose", ["sum", "up"], ["large"], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["large"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "dense", "dense_bias"], ["scores"], transB=1),
    ]
    return make_model(nodes, {"image": ["batch", 3, 8, 8]}, {"scores": ["batch", 5]}, weights)


@pytest.fixture
def pictures():
    """Calibration data, and other pictures."""
    return Calibration({"image": _floats(16, 3, 8, 8)}), {"image": _floats(24, 3, 8, 8)[16:]}


def _load(made) -> onnx.ModelProto:
    artifact, directory = made
    return onnx.load(directory / artifact.files[0].path)


@pytest.mark.parametrize("bound", [("fp32", 1e-5), ("fp16", 5e-3), ("int8", 0.05)])
def test_answers_are_the_sources(bound, residual, pictures, read, make_variant, answer) -> None:
    """Each precision keeps the answers, within its own rounding, and TensorRT's rules."""
    source, (precision, most) = read(residual), bound
    made = make_variant(NvidiaTarget(), source, precision, pictures[0])
    wanted, found = answer(source, pictures[1])["scores"], answer(source, pictures[1], *made)["scores"]
    assert np.abs(wanted - found).max() < most * np.ptp(wanted)
    assert lint(_load(made)) == []


def test_real_model_keeps_its_accuracy(fashion, read, make_variant, answer) -> None:
    """A model of Fashion-MNIST recognises as many pictures in half and in int8 as in float, within one in a hundred."""
    path, calibration, evaluation = fashion
    source = read(path)
    inputs = {"input": evaluation["input"]}
    made = [make_variant(NvidiaTarget(), source, precision, calibration) for precision in ("fp16", "int8")]
    answers = [answer(source, inputs), *(answer(source, inputs, *one) for one in made)]
    right = [np.mean(one["logits"].argmax(1) == evaluation["labels"]) for one in answers]
    assert min(right[1:]) > right[0] - 0.01


def test_recipe_says_how_the_engine_is_built(residual, read, make_variant) -> None:
    """The artifact is for NVIDIA, by TensorRT 10 or later, with the types of the file and batches from 1 to 8."""
    artifact, _ = make_variant(NvidiaTarget(), read(residual))
    assert artifact.accelerator == "nvidia"
    assert artifact.engine is not None
    assert (artifact.engine.builder, artifact.engine.minimum_version, artifact.engine.strongly_typed) == ("tensorrt", "10.0", True)
    assert artifact.engine.profiles == {"image": ((1, 3, 8, 8), (1, 3, 8, 8), (8, 3, 8, 8))}


def test_fixed_batch_is_the_only_one(make_conv, read, make_variant) -> None:
    """An engine of a model that takes four samples takes four, never fewer and never more."""
    artifact, _ = make_variant(NvidiaTarget(), read(make_conv(batch=4, classes=3)))
    assert artifact.engine is not None
    assert artifact.engine.profiles == {"image": ((4, 3, 8, 8),) * 3}


def test_weights_are_signed_with_a_scale_for_each_channel(residual, pictures, read, make_variant) -> None:
    """Weights and activations are int8 around zero; each weighted operator has as many scales as outputs, and its bias in float."""
    graph = _load(make_variant(NvidiaTarget(), read(residual), "int8", pictures[0])).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    channels = {}
    for node in (node for node in graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm")):
        back = makers[node.input[1]]
        assert tensors[back.input[0]].data_type == tensors[back.input[2]].data_type == TensorProto.INT8
        assert all(tensors[name].data_type == TensorProto.FLOAT for name in node.input[2:])
        channels.setdefault(node.op_type, []).append((next(one.i for one in back.attribute if one.name == "axis"), *tensors[back.input[1]].dims))
    assert channels == {"Conv": [(0, 8)] * 3, "ConvTranspose": [(1, 4)], "Gemm": [(0, 5)]}
    assert {node.domain for node in graph.node} == {""}


def test_integers_stand_before_what_multiplies_them(residual, pictures, read, make_variant) -> None:
    """Only inputs of weighted operators and the skip connection are quantised: no output is, and the branch is added as it is."""
    graph = _load(make_variant(NvidiaTarget(), read(residual), "int8", pictures[0])).graph
    makers = {name: node for node in graph.node for name in node.output}
    assert sorted(node.input[0] for node in graph.node if node.op_type == QUANTIZE) == ["b", "f", "image", "r", "sum"]
    addition = next(node for node in graph.node if node.op_type == "Add")
    assert sorted(makers[name].op_type for name in addition.input) == ["Conv", DEQUANTIZE]


def test_half_network_has_float_borders(residual, read, make_variant) -> None:
    """In fp16 every weight is float16, and callers see float32."""
    artifact, directory = make_variant(NvidiaTarget(), read(residual), "fp16")
    graph = _load((artifact, directory)).graph
    assert {tensor.data_type for tensor in graph.initializer} == {TensorProto.FLOAT16}
    assert [binding.native.dtype for binding in (*artifact.inputs, *artifact.outputs)] == ["float32"] * 2


def test_detector_keeps_its_scores(make_model, read, make_variant, answer) -> None:
    """Boxes and scores in one output keep their own numbers: no scale serves both."""
    weights = {"boxes": _floats(4, 3, 1, 1, scale=300), "classes": _floats(2, 3, 1, 1)}
    nodes = [
        helper.make_node("Conv", ["image", "boxes"], ["b"]),
        helper.make_node("Conv", ["image", "classes"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["scores"]),
        helper.make_node("Concat", ["b", "scores"], ["found"], axis=1),
    ]
    source = read(make_model(nodes, {"image": ["n", 3, 4, 4]}, {"found": ["n", 6, 4, 4]}, weights))
    inputs = {"image": _floats(8, 3, 4, 4)}
    found = answer(source, inputs, *make_variant(NvidiaTarget(), source, "int8", Calibration(inputs)))["found"]
    assert np.abs(answer(source, inputs)["found"][:, 4:] - found[:, 4:]).max() < 0.05


def test_opset_is_one_that_tensorrt_reads(make_conv, read, make_variant, answer) -> None:
    """A source of opset 21 becomes a file of opset 20, which gives the same answers."""
    model = make_conv(classes=3)
    model.opset_import[0].version = 21
    source = read(model)
    made = make_variant(NvidiaTarget(), source)
    assert _load(made).opset_import[0].version == 20
    inputs = {"image": _floats(2, 3, 8, 8)}
    np.testing.assert_allclose(answer(source, inputs, *made)["scores"], answer(source, inputs)["scores"], rtol=1e-5)


def test_old_opset_is_raised_for_scales_of_channels(make_conv, read, make_variant) -> None:
    """QuantizeLinear has an axis from opset 13 on, so an int8 variant of an older source is written in that."""
    model = make_conv(classes=3)
    model.opset_import[0].version = 11
    made = make_variant(NvidiaTarget(), read(model), "int8", Calibration({"image": _floats(8, 3, 8, 8)}))
    assert _load(made).opset_import[0].version == 13


def test_operators_that_tensorrt_lacks_are_told(make_model, read, make_variant) -> None:
    """An operator that TensorRT's parser has not is refused before anything ships, by its name."""
    source = read(make_model([helper.make_node("Det", ["x"], ["y"])], {"x": ["n", 3, 3]}, {"y": ["n"]}))
    with pytest.raises(ConversionError, match=r"TensorRT would not take it: .*no Det"):
        make_variant(NvidiaTarget(), source)


def test_unsigned_source_is_told(digits, read, make_variant) -> None:
    """A source that was quantised for CPUs is kept as it is, and so refused: TensorRT knows no uint8."""
    path, calibration, _ = digits
    artifact, directory = make_variant(OnnxTarget(), read(path), "int8", calibration)
    with pytest.raises(
        ConversionError, match=r"zero point is u?int\d+, and int8 is expected.*more\. It is kept in the int8 that it came in: give the float model"
    ):
        make_variant(NvidiaTarget(), read(directory / artifact.files[0].path), "int8")


def test_other_sizes_that_vary_are_told(make_model, read, make_variant) -> None:
    """A size that may vary besides the batch has no bounds that anybody knows, and the option that fixes it is named."""
    source = read(make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["n", "length"]}, {"y": ["n", "length"]}))
    with pytest.raises(ConversionError, match="--shape length=N"):
        make_variant(NvidiaTarget(), source)


def test_bfloat16_is_typed_and_what_runs_it_here_is_told(make_dense, read, make_variant, answer) -> None:
    """A network in bfloat16 keeps TensorRT's rules; ONNX Runtime's CPU has no such MatMul, which the refusal says."""
    source = read(make_dense())
    made = make_variant(NvidiaTarget(), source, "bf16")
    assert lint(_load(made)) == []
    with pytest.raises(InputError, match="NOT_IMPLEMENTED"):
        answer(source, {"tokens": np.zeros((1, 8), np.int64)}, *made)


def test_profile_bounds_the_file(residual, pictures, read, tmp_path) -> None:
    """For a Jetson the file is of an opset and an IR version that its profile reads."""
    profile = find_profile("jetson-orin-nano")
    NvidiaTarget().convert(read(residual), Order(find_precision("int8"), pictures[0], profile), tmp_path)
    model = onnx.load(tmp_path / "model.onnx")
    assert model.opset_import[0].version <= profile.opset
    assert model.ir_version <= profile.ir_version


def test_target_is_a_plugin() -> None:
    """The target is found by its name among the plug-ins, and it makes ONNX."""
    assert load_plugin(TARGETS, "nvidia")().format == "onnx"


def test_missing_package_is_an_obstacle(monkeypatch) -> None:
    """Where a package is not installed, the obstacle names it and the command that installs it."""
    monkeypatch.setattr("edgekit_converters.nvidia_target._PACKAGES", ("onnx", "not-there"))
    assert NvidiaTarget().find_obstacle() == "not-there is not installed here. Run: pip install 'edgekit[convert]'."
