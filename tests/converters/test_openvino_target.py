"""OpenVINO: the same answers, int8 with settings that keep them, and nobody phones home."""

import errno
import subprocess
import sys

import numpy as np
import pytest
from onnx import helper

from edgekit.conversion import Calibration, Order
from edgekit.errors import ConversionError
from edgekit.precisions import find_precision
from edgekit_converters.openvino_target import OpenVINOTarget

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
