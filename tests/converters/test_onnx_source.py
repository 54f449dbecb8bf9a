"""ONNX sources: described as they are, and written again without what does not belong to the graph."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgekit.conversion import SourceOptions
from edgekit.errors import DeviceError, InputError
from edgekit_converters.onnx_source import OnnxSource


def test_digits_are_described(digits, read) -> None:
    """Names, dtypes, shapes with the batch by its name, layout, and that logits must be finite."""
    source = read(digits[0])
    image, logits = source.inputs[0], source.outputs[0]
    assert (image.name, image.dtype, image.shape, image.layout) == ("image", "float32", ("batch", 1, 8, 8), "NCHW")
    assert (logits.name, logits.dtype, logits.shape, logits.finite) == ("logits", "float32", ("batch", 10), True)
    assert source.format == "onnx"
    assert source.tools["onnx"] == onnx.__version__


def test_source_keeps_its_answers(digits, read, answer) -> None:
    """What targets are made from answers as the file that was brought."""
    path, _, evaluation = digits
    source = read(path)
    inputs = {"image": evaluation["image"][:10]}
    given = onnx.load(path)
    evaluated = ReferenceEvaluator(given).run(None, inputs)[0]
    np.testing.assert_allclose(answer(source, inputs)["logits"], evaluated, atol=1e-4)


def test_notes_of_the_exporter_are_left_out(make_conv, read) -> None:
    """Stack traces and paths that an exporter notes do not reach a bundle."""
    model = make_conv()
    model.doc_string = "/home/somebody/train.py"
    model.graph.node[0].doc_string = "/home/somebody/model.py"
    model.metadata_props.add(key="path", value="/home/somebody")
    assert b"somebody" not in read(model).path.read_bytes()


def test_initialisers_among_the_inputs_are_weights(make_conv, read) -> None:
    """Where a file lists its weights as inputs too, as old ones do, callers are not asked for them."""
    model = make_conv()
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    assert [spec.name for spec in read(model).inputs] == ["image"]


def test_unknown_sizes_get_names(make_model, read) -> None:
    """A size without a value or a name gets a name after its place, and no two places share one."""
    source = read(make_model([helper.make_node("Add", ["x", "z"], ["y"])], {"x": [None, 4], "z": [None, 4]}, {"y": [None, None]}))
    assert [spec.shape for spec in source.inputs] == [("input0_dim0", 4), ("input1_dim0", 4)]


def test_model_without_inputs_is_refused(make_model, read) -> None:
    """A graph that computes from constants alone has nothing to be asked."""
    nodes = [helper.make_node("Constant", [], ["y"], value=numpy_helper.from_array(np.ones(3, np.float32)))]
    with pytest.raises(InputError, match="no inputs"):
        read(make_model(nodes, {}, {"y": [3]}))


def test_input_that_is_no_tensor_is_refused(make_model, read) -> None:
    """A sequence as an input is refused by name."""
    model = make_model([helper.make_node("SequenceAt", ["many", "at"], ["y"])], {}, {"y": ["n"]}, {"at": np.array(0)})
    model.graph.input.append(helper.make_tensor_sequence_value_info("many", TensorProto.FLOAT, ["n"]))
    with pytest.raises(InputError, match="'many'"):
        read(model)


@pytest.mark.parametrize(
    ("name", "data", "accepted"),
    [
        ("model.onnx", b"whatever", True),
        ("MODEL.ONNX", b"", True),
        ("model.bin", b"\x08\x0a\x12\x07pytorch", True),
        ("model.bin", b"PK\x03\x04", False),
        ("model.bin", b"", False),
    ],
)
def test_files_are_accepted_by_name_or_first_bytes(name, data, accepted, tmp_path) -> None:
    """A file with ONNX's suffix, or that begins as ONNX does, is this source's to read."""
    path = tmp_path / name
    path.write_bytes(data)
    assert OnnxSource().accepts(path) is accepted


def test_directory_is_not_accepted(tmp_path) -> None:
    """A directory is not ONNX, whatever it is called."""
    (tmp_path / "model.onnx").mkdir()
    assert not OnnxSource().accepts(tmp_path / "model.onnx")


def test_without_onnx_it_says_how_to_get_it(digits, tmp_path, monkeypatch) -> None:
    """On a device that has no onnx the model is refused with the command that installs it."""
    monkeypatch.setattr("edgekit_converters.packages.find_package_version", lambda _: None)
    with pytest.raises(DeviceError, match=r"digits\.onnx.*onnx is not installed here.*edgekit\[convert\]"):
        OnnxSource().load(digits[0], tmp_path, SourceOptions())
