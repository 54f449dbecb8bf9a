"""Constants are found by name in every format, and two files that differ in one of them are told apart."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.weights import compare_weights, read_weights

pytestmark = pytest.mark.workstation

DATA = Path(__file__).parent / "runtimes" / "data"


def test_what_is_equal_is_not_told() -> None:
    """Of two sets of constants only those are named that are not the same, each with what became of it."""
    before = {"same": np.ones(3), "gone": np.ones(2), "shape": np.ones((2, 2)), "dtype": np.ones(1, np.float32), "value": np.array([1.0, 2.0])}
    after = {"same": np.ones(3), "shape": np.ones(4), "dtype": np.ones(1, np.int8), "value": np.array([1.0, 2.5]), "new": np.zeros(1)}
    changes = {one.name: one for one in compare_weights(before, after)}
    assert {name: one.change for name, one in changes.items()} == {
        "gone": "removed",
        "shape": "reshaped",
        "dtype": "reshaped",
        "value": "changed",
        "new": "added",
    }
    assert changes["value"].max_abs == 0.5
    assert (changes["dtype"].before, changes["dtype"].after) == ("float32[1]", "int8[1]")
    assert (changes["new"].before, changes["new"].after) == ("", "float64[1]")


def test_a_difference_that_is_no_number_is_unknown() -> None:
    """Infinity against a number, and texts, differ by no figure; the same NaN is no difference."""
    before = {"a": np.array([np.inf]), "b": np.array([b"x"]), "c": np.array([np.nan])}
    after = {"a": np.array([1.0]), "b": np.array([b"y"]), "c": np.array([np.nan])}
    changes = compare_weights(before, after)
    assert [(one.name, one.max_abs) for one in changes] == [("a", None), ("b", None)]


def test_integers_do_not_wrap() -> None:
    """The distance of two unsigned integers is that of the numbers."""
    (change,) = compare_weights({"a": np.array([0], np.uint8)}, {"a": np.array([255], np.uint8)})
    assert change.max_abs == 255


def test_onnx_names_its_initialisers_and_constants(tmp_path: Path) -> None:
    """Initialisers have their own names, constants of operators those of the operator, in branches too; bfloat16 has differences."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def branch(name: str, value: float) -> onnx.GraphProto:
        constant = helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.float32([value])))
        return helper.make_graph([constant], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])])

    def save(path: Path, half: float) -> Path:
        node = helper.make_node("If", ["c"], ["y"], then_branch=branch("yes", 1), else_branch=branch("no", 2))
        stored = helper.make_tensor("half", TensorProto.BFLOAT16, [1], [half])
        graph = helper.make_graph(
            [node],
            "g",
            [helper.make_tensor_value_info("c", TensorProto.BOOL, [1])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
            [numpy_helper.from_array(np.int64([7, 8]), "sizes"), stored],
        )
        onnx.save(helper.make_model(graph), path)
        return path

    first, second = (read_weights(save(tmp_path / f"{half}.onnx", half), "onnx") for half in (1.0, 1.5))
    assert {name: array.tolist() for name, array in first.items() if name != "half"} == {"sizes": [7, 8], "yes.value": [1.0], "no.value": [2.0]}
    (change,) = compare_weights(first, second)
    assert (change.name, change.max_abs) == ("half", 0.5)


def test_tflite_has_its_scales_too() -> None:
    """What integers of a TFLite file stand for is told beside them."""
    floats, integers = (read_weights(DATA / name, "tflite") for name in ("affine.tflite", "affine_int8.tflite"))
    assert any(array.dtype == np.float32 for array in floats.values())
    assert any(array.dtype == np.int8 for array in integers.values())
    assert {name.rpartition(".")[2] for name in integers} >= {"scale", "zero_point"}


def test_openvino_is_read_from_its_two_files(tmp_path: Path) -> None:
    """The constants of IR are those that OpenVINO finds, read without it; one byte of the weights changes one of them."""
    import openvino

    path = tmp_path / "model.xml"
    openvino.save_model(openvino.convert_model(DATA / "affine.onnx"), path, compress_to_fp16=False)
    weights = read_weights(path, "openvino")
    theirs = [op.data for op in openvino.Core().read_model(path).get_ops() if op.get_type_name() == "Constant"]
    assert sorted(array.tobytes() for array in weights.values()) == sorted(array.tobytes() for array in theirs)
    other = tmp_path / "other.xml"
    shutil.copy(path, other)
    data = bytearray(path.with_suffix(".bin").read_bytes())
    data[0] ^= 1
    other.with_suffix(".bin").write_bytes(data)
    assert [one.change for one in compare_weights(weights, read_weights(other, "openvino"))] == ["changed"]


@pytest.mark.parametrize(("name", "format"), [("model.onnx", "onnx"), ("model.tflite", "tflite"), ("model.xml", "openvino")])
@pytest.mark.parametrize(
    "data", [b"", b"\x08\x07garbage", b"    TFL3" + b"\xff" * 40, b"<net><layer/></net>", b"<?xml version='1.0'?><!DOCTYPE a><net/>"]
)
def test_what_is_no_model_is_refused(tmp_path: Path, name: str, format: str, data: bytes) -> None:
    """Bytes that are no whole model of the format end in an error that names the file."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=str(tmp_path / name)):
        read_weights(tmp_path / name, format)


def test_a_format_that_nobody_reads_is_named() -> None:
    """The weights of a format of another package are not guessed at."""
    with pytest.raises(InputError, match="models in scorecard cannot be read"):
        read_weights(DATA / "affine.onnx", "scorecard")
