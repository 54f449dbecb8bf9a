"""OpenVINO: the same answers, int8 with settings that keep them, and nobody phones home."""

import dataclasses
import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest
from msgspec import structs
from onnx import TensorProto, helper
from openvino import opset13

from edgekit.artifacts import Artifact, bind_identically
from edgekit.conversion import Calibration, Order, SourceModel
from edgekit.errors import ConversionError
from edgekit.precisions import find_precision
from edgekit.runtimes.registry import find_runtime
from edgekit.runtimes.sessions import open_session
from edgekit.target_profiles import TargetProfile
from edgekit_converters.artifact_files import describe_files
from edgekit_converters.openvino_reading import bind
from edgekit_converters.openvino_target import OpenVINOTarget

MODELS = Path(__file__).parents[2].parent / "shared" / "models"
RNG = np.random.default_rng(7)


def _floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def test_float_variant_gives_the_source_answers(digits, read, make_variant, answer) -> None:
    """The digits in fp32 deviate by rounding alone, so weights are not stored in half precision."""
    path, _, evaluation = digits
    source = read(path)
    inputs = {"image": evaluation["image"][:50]}
    found = answer(source, inputs, *make_variant(OpenVINOTarget(), source))["logits"]
    np.testing.assert_allclose(found, answer(source, inputs)["logits"], atol=1e-4)


def test_int8_variant_keeps_the_answers(digits, read, make_variant, answer) -> None:
    """The digits in int8 agree on nearly every sample and deviate by less than 1 of 24, where NNCF's defaults are 4 off."""
    path, calibration, evaluation = digits
    source = read(path)
    inputs = {"image": evaluation["image"]}
    artifact, directory = make_variant(OpenVINOTarget(), source, "int8", calibration)
    wanted, found = answer(source, inputs)["logits"], answer(source, inputs, artifact, directory)["logits"]
    assert np.mean(wanted.argmax(1) == found.argmax(1)) > 0.99
    assert np.abs(wanted - found).max() < 1
    assert artifact.size < source.path.stat().st_size / 3


def test_real_model_keeps_its_accuracy(fashion, read, make_variant, answer) -> None:
    """A model of Fashion-MNIST recognises as many pictures in int8 as in float, within one in a hundred."""
    path, calibration, evaluation = fashion
    source = read(path)
    inputs = {"input": evaluation["input"]}
    artifact, directory = make_variant(OpenVINOTarget(), source, "int8", calibration)
    right = [
        np.mean(one["logits"].argmax(1) == evaluation["labels"]) for one in (answer(source, inputs), answer(source, inputs, artifact, directory))
    ]
    assert right[1] > right[0] - 0.01


def test_two_files_are_listed_the_graph_first(digits, read, make_variant) -> None:
    """The graph, which a runtime opens, stands before the weights, and no third file is there."""
    artifact, directory = make_variant(OpenVINOTarget(), read(digits[0]))
    assert [entry.path for entry in artifact.files] == ["model.xml", "model.bin"]
    assert sorted(one.name for one in directory.iterdir()) == ["model.bin", "model.xml"]


def test_inputs_of_one_shape_are_not_mixed_up(make_model, read, make_variant, answer) -> None:
    """With two inputs of the same shape, each is bound to its own, and so are two outputs."""
    nodes = [helper.make_node("Sub", ["left", "right"], ["difference"]), helper.make_node("Div", ["left", "right"], ["quotient"])]
    shape = ["batch", 4]
    source = read(make_model(nodes, {"left": shape, "right": shape}, {"difference": shape, "quotient": shape}))
    inputs = {"left": _floats(3, 4), "right": 2 + np.abs(_floats(3, 4))}
    found = answer(source, inputs, *make_variant(OpenVINOTarget(), source))
    for name, wanted in answer(source, inputs).items():
        np.testing.assert_allclose(found[name], wanted, atol=1e-5)


def test_tensor_with_two_names_is_found_by_both(make_model, read, make_variant, answer) -> None:
    """An output that is an input unchanged, and one that is another under a second name, are found."""
    nodes = [helper.make_node("Identity", ["x"], ["same"]), helper.make_node("Neg", ["x"], ["y"]), helper.make_node("Identity", ["y"], ["again"])]
    shape = ["batch", 4]
    source = read(make_model(nodes, {"x": shape}, {"same": shape, "y": shape, "again": shape}))
    inputs = {"x": _floats(3, 4)}
    found = answer(source, inputs, *make_variant(OpenVINOTarget(), source))
    for name, wanted in answer(source, inputs).items():
        np.testing.assert_array_equal(found[name], wanted)


def test_input_that_nothing_uses_is_kept(make_model, read, make_variant, answer) -> None:
    """A caller may go on to give an input of which the answer does not depend."""
    source = read(make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["batch", 4], "idle": ["batch", 2]}, {"y": ["batch", 4]}))
    inputs = {"x": _floats(3, 4), "idle": _floats(3, 2)}
    found = answer(source, inputs, *make_variant(OpenVINOTarget(), source))
    np.testing.assert_allclose(found["y"], answer(source, inputs)["y"])


def test_same_source_gives_the_same_bytes(digits, read, make_variant) -> None:
    """Made twice in one process, a variant has the same digests, though OpenVINO numbers its operators by a counter."""
    path, calibration, _ = digits
    source = read(path)
    for precision in ("fp32", "int8"):
        made = [make_variant(OpenVINOTarget(), source, precision, calibration)[0].files for _ in range(2)]
        assert made[0] == made[1]


def test_fixed_batch_is_calibrated_in_batches(make_conv, read, make_variant, answer) -> None:
    """A source that takes four samples at a time is calibrated with four at a time."""
    source = read(make_conv(batch=4, classes=3))
    artifact, directory = make_variant(OpenVINOTarget(), source, "int8", Calibration({"image": _floats(18, 3, 8, 8)}))
    assert answer(source, {"image": _floats(4, 3, 8, 8)}, artifact, directory)["scores"].shape == (4, 3)


def test_operator_without_a_counterpart_is_named(make_model, read, make_variant) -> None:
    """Where OpenVINO has no such operator, the refusal names it."""
    nodes = [helper.make_node("CDist", ["x", "x"], ["y"], domain="com.microsoft", metric="euclidean")]
    model = make_model(nodes, {"x": ["batch", 4]}, {"y": ["batch", "k"]})
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(ConversionError, match="CDist"):
        make_variant(OpenVINOTarget(), read(model))


def test_int8_without_calibration_is_refused(digits, read, make_variant) -> None:
    """Static int8 without data is refused with the option that gives them."""
    with pytest.raises(ConversionError, match="--calibration"):
        make_variant(OpenVINOTarget(), read(digits[0]), "int8")


def test_nothing_is_printed(digits, read, make_variant, capfd) -> None:
    """NNCF's progress bars and log reach neither stdout nor stderr."""
    path, calibration, _ = digits
    make_variant(OpenVINOTarget(), read(path), "int8", calibration)
    assert capfd.readouterr() == ("", "")


def test_nobody_phones_home(digits, tmp_path) -> None:
    """A conversion in a process of its own opens no connection and leaves no identifier in the user's home."""
    program = f"""
import socket, sys
from pathlib import Path
import numpy as np

def refuse(*arguments):
    print("connection to", arguments, file=sys.stderr)

sys.addaudithook(lambda event, arguments: refuse(arguments) if event in ("socket.connect", "socket.getaddrinfo") else None)
from edgekit.conversion import Calibration, Order, SourceOptions
from edgekit.precisions import find_precision
from edgekit_converters.onnx_source import OnnxSource
from edgekit_converters.openvino_target import OpenVINOTarget
here = Path({str(tmp_path)!r})
source = OnnxSource().load(Path({str(digits[0])!r}), here, SourceOptions())
calibration = Calibration({{"image": np.random.rand(8, 1, 8, 8).astype("f4")}})
OpenVINOTarget().convert(source, Order(find_precision("int8"), calibration), here)
"""
    environment = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    (tmp_path / "home").mkdir()
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "connection to" not in done.stderr
    assert list((tmp_path / "home").rglob("*telemetry*")) == []
    assert list((tmp_path / "home").rglob("*cid*")) == []


def test_a_full_disk_is_no_fault_of_the_model(make_conv, read, tmp_path) -> None:
    """Where OpenVINO's stream fails for want of room, the error is the system's own, which the build names a full disk."""
    source, directory = read(make_conv()), tmp_path / "full"
    directory.mkdir()
    for name in ("model.xml", "model.bin", "model.probe"):
        (directory / name).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as refusal:
        OpenVINOTarget().convert(source, Order(find_precision("fp32")), directory)
    assert refusal.value.errno == errno.ENOSPC


def test_half_precision_halves_the_file(digits, read, make_variant, answer) -> None:
    """In fp16 the weights take half the room, and the logits, which span 24, deviate by a few hundredths."""
    path, _, evaluation = digits
    source = read(path)
    artifact, directory = make_variant(OpenVINOTarget(), source, "fp16")
    full, _ = make_variant(OpenVINOTarget(), source)
    assert artifact.files[1].length < 0.55 * full.files[1].length
    inputs = {"image": evaluation["image"][:50]}
    np.testing.assert_allclose(answer(source, inputs, artifact, directory)["logits"], answer(source, inputs)["logits"], atol=0.05)


def test_batch_and_sequence_stay_free(encoder, read, make_variant, answer) -> None:
    """A text encoder takes any batch and any length after the conversion, in float and with weights in integers."""
    source = read(encoder)
    for precision, tolerance in (("fp32", 1e-4), ("int8-weights", 0.1)):
        artifact, directory = make_variant(OpenVINOTarget(), source, precision)
        for batch, length in ((1, 4), (3, 11)):
            inputs = {"ids": RNG.integers(0, 100, (batch, length)), "mask": np.ones((batch, length), np.int64)}
            inputs["mask"][:, -1] = 0
            found = answer(source, inputs, artifact, directory)["hidden"]
            assert found.shape == (batch, length, 64)
            np.testing.assert_allclose(found, answer(source, inputs)["hidden"], atol=tolerance)


@pytest.fixture(scope="module")
def encoder(make_model):
    """One block of BERT: embeddings, masked attention with two heads, normalisation, with any batch and any length."""
    weights = {"table": _floats(100, 64), "one": np.array(1, np.float32), "low": np.array(-1e4, np.float32), "root": np.array(32**-0.5, np.float32)}
    weights |= {name: 0.1 * _floats(64, 64) for name in ("wq", "wk", "wv", "wo")}
    weights |= {"gamma": np.ones(64, np.float32), "beta": np.zeros(64, np.float32), "heads": np.array([0, 0, 2, 32]), "merged": np.array([0, 0, 64])}
    weights |= {"middle": np.array([1, 2])}
    nodes = [helper.make_node("Gather", ["table", "ids"], ["x"])]
    for name, axes in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            helper.make_node("MatMul", ["x", f"w{name}"], [f"{name}0"]),
            helper.make_node("Reshape", [f"{name}0", "heads"], [f"{name}1"]),
            helper.make_node("Transpose", [f"{name}1"], [name], perm=axes),
        ]
    nodes += [
        helper.make_node("MatMul", ["q", "k"], ["s0"]),
        helper.make_node("Mul", ["s0", "root"], ["s1"]),
        helper.make_node("Cast", ["mask"], ["m0"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["one", "m0"], ["m1"]),
        helper.make_node("Mul", ["m1", "low"], ["m2"]),
        helper.make_node("Unsqueeze", ["m2", "middle"], ["m3"]),
        helper.make_node("Add", ["s1", "m3"], ["s2"]),
        helper.make_node("Softmax", ["s2"], ["s3"], axis=-1),
        helper.make_node("MatMul", ["s3", "v"], ["a0"]),
        helper.make_node("Transpose", ["a0"], ["a1"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["a1", "merged"], ["a2"]),
        helper.make_node("MatMul", ["a2", "wo"], ["a3"]),
        helper.make_node("Add", ["x", "a3"], ["sum"]),
        helper.make_node("LayerNormalization", ["sum", "gamma", "beta"], ["hidden"]),
    ]
    shape = ["batch", "sequence"]
    return make_model(nodes, {"ids": shape, "mask": shape}, {"hidden": [*shape, 64]}, weights, dtype=TensorProto.INT64)


def test_transformer_is_quantised_as_one(encoder, read, make_variant, answer) -> None:
    """A text encoder in static int8 keeps its answers, which are normalised to a variance of one."""
    source = read(encoder)
    inputs = {"ids": RNG.integers(0, 100, (16, 8)), "mask": np.ones((16, 8), np.int64)}
    artifact, directory = make_variant(OpenVINOTarget(), source, "int8", Calibration(inputs))
    deviation = np.abs(answer(source, inputs, artifact, directory)["hidden"] - answer(source, inputs)["hidden"])
    assert 0 < deviation.mean() < 0.05


def test_pooling_by_a_kernel_larger_than_the_picture(make_model, read, make_variant, answer) -> None:
    """EfficientNet's pooler, a kernel of 1280 over a map of 7x7, which OpenVINO cannot run, gives the mean of the map."""
    nodes = [helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[1280, 1280], strides=[1280, 1280], ceil_mode=1)]
    source = read(make_model(nodes, {"x": ["batch", 8, 7, 7]}, {"y": ["batch", 8, 1, 1]}))
    inputs = {"x": _floats(3, 8, 7, 7)}
    found = answer(source, inputs, *make_variant(OpenVINOTarget(), source))["y"]
    np.testing.assert_allclose(found, inputs["x"].mean(axis=(2, 3), keepdims=True), atol=1e-5)


@pytest.mark.parametrize("shape", [[-1, 0], [-1, 3], [-1, 4, 1]])
def test_output_of_another_shape_is_refused(make_model, read, shape) -> None:
    """Where OpenVINO comes to an empty output, or one of another size, the conversion ends with its name."""
    source = read(make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["batch", 4]}, {"y": ["batch", 4]}))
    x = opset13.parameter([-1, 4], np.float32)
    y = opset13.parameter(shape, np.float32)
    x.output(0).set_names({"x"})
    y.output(0).set_names({"y"})
    with pytest.raises(ConversionError, match="gives 'y' the shape"):
        bind(openvino.Model([y], [x, y], "wrong"), source)


def test_devices_that_take_no_batch_get_one(digits, read, answer, tmp_path) -> None:
    """For a class of devices whose compiler wants fixed shapes, the batch is one in the file, and callers may still send more."""
    path, _, evaluation = digits
    source = read(path)
    artifact = OpenVINOTarget().convert(source, Order(find_precision("fp16"), profile=_fixed()), tmp_path)
    assert artifact.inputs[0].native.shape == (1, 1, 8, 8)
    assert artifact.outputs[0].native.shape == (1, 10)
    inputs = {"image": evaluation["image"][:5]}
    np.testing.assert_allclose(answer(source, inputs, artifact, tmp_path)["logits"], answer(source, inputs)["logits"], atol=0.05)


def test_other_free_sizes_are_named(encoder, read, tmp_path) -> None:
    """A sequence of any length has no place on such a device, and the refusal names the option that fixes it."""
    with pytest.raises(ConversionError, match="--shape sequence=128"):
        OpenVINOTarget().convert(read(encoder), Order(find_precision("fp16"), profile=_fixed()), tmp_path)


def _fixed() -> TargetProfile:
    return TargetProfile(name="fixed", summary="takes fixed shapes", arch="x86_64", precisions={"openvino": ("fp16",)}, fixed_shapes=True)


@pytest.mark.parametrize("name", ["mlperf-tiny-kws/kws_ref_model.tflite", "mlperf-tiny-vww/vww_96_int8.tflite", "mlperf-tiny-ad/ad01_fp32.tflite"])
def test_tflite_is_read_directly(name, tflite_source, make_variant, answer) -> None:
    """From a TFLite file OpenVINO gives LiteRT's answers, in int8 within two steps of 255, with nothing of TensorFlow installed."""
    source = tflite_source(name)
    artifact, directory = make_variant(OpenVINOTarget(), source, "int8" if source.precision == "int8" else "fp32")
    given, shape = source.inputs[0], [16, *source.inputs[0].shape[1:]]
    array = RNG.integers(-128, 128, shape).astype(np.int8) if given.dtype == "int8" else 10 * _floats(*shape)
    found = answer(source, {given.name: array}, artifact, directory)[source.outputs[0].name]
    with open_session(source.path, source.artifact, source.inputs, source.outputs, find_runtime("tflite")) as session:
        wanted = session.infer({given.name: array})[source.outputs[0].name]
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, atol=2 if given.dtype == "int8" else 1e-3)


@pytest.fixture
def tflite_source():
    """A TFLite file of the shared models as a source that has no other form."""

    def make(name: str) -> SourceModel:
        path = MODELS / name
        if not path.is_file():
            pytest.skip(f"the models for tests are not here: {path}")
        native = find_runtime("tflite").open(path, 1)
        inputs, outputs = native.inputs, native.outputs
        native.close()
        return SourceModel(
            format="tflite",
            files=(path,),
            directory=path.parent,
            artifact=Artifact(
                format="tflite", files=describe_files(path.parent, path.name), inputs=bind_identically(inputs), outputs=bind_identically(outputs)
            ),
            inputs=inputs,
            outputs=outputs,
            forms={"tflite": path},
            precision="int8" if inputs[0].dtype == "int8" else "fp32",
        )

    return make


def test_hub_is_taken_where_tflite_cannot_be_read(digits, read, make_variant, tmp_path, caplog) -> None:
    """Where OpenVINO cannot read the TFLite file itself, it starts from the hub, and the log says why."""
    hub = read(digits[0])
    broken = tmp_path / "model.tflite"
    broken.write_bytes(b"\x1c\0\0\0TFL3" + bytes(64))
    forms = {"tflite": broken, "onnx": hub.forms["onnx"]}
    source = dataclasses.replace(hub, format="tflite", forms=forms, artifact=structs.replace(hub.artifact, format="tflite"))
    artifact, _ = make_variant(OpenVINOTarget(), source)
    assert artifact.inputs[0].name == "image"
    assert "starts from onnx" in caplog.text


def test_integer_weights_are_suggested_for_large_products(make_model, make_conv, read) -> None:
    """Weights alone in integers are suggested where a million of them are in products, and for convolutions they are not."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    large = read(make_model(nodes, {"x": ["batch", 1024]}, {"y": ["batch", 1024]}, {"w": _floats(1024, 1024)}))
    assert OpenVINOTarget().suggest_precisions(large) == ("fp32", "int8", "int8-dynamic", "int8-weights")
    assert OpenVINOTarget().suggest_precisions(read(make_conv())) == ("fp32", "int8")


def test_suggesting_never_fails(make_model, read) -> None:
    """A model that OpenVINO cannot express gets the usual suggestion; why it fails is told of the variant."""
    model = make_model(
        [helper.make_node("CDist", ["x", "x"], ["y"], domain="com.microsoft", metric="euclidean")], {"x": ["batch", 4]}, {"y": ["batch", "k"]}
    )
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert OpenVINOTarget().suggest_precisions(read(model)) == ("fp32", "int8")
