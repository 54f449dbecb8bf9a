"""The graph inside a TFLite file, read and normalised."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from edgekit_converters.tflite_graphs import SIGNATURE, Graph, Operator, count_types, fix_sizes, normalise, read_graph
from edgekit_converters.tflite_target import TFLiteTarget

pytestmark = pytest.mark.usefixtures("onnx2tf")


@pytest.fixture
def older(make_conv, read, make_variant, tmp_path):
    """A file as older converters wrote it: codes in the deprecated field, no signature, a name twice, the batch of any size."""
    artifact, directory = make_variant(TFLiteTarget(), read(make_conv(classes=3)))
    model = flatbuffer_utils.read_model(str(directory / artifact.files[0].path))
    for code in model.operatorCodes:
        assert code.builtinCode < 127
        code.deprecatedBuiltinCode, code.builtinCode = code.builtinCode, 0
    model.signatureDefs = []
    tensors = model.subgraphs[0].tensors
    tensors[-2].name = tensors[-3].name
    tensors[model.subgraphs[0].inputs[0]].shapeSignature = [-1, 3, 8, 8]
    path = tmp_path / "older.tflite"
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    return path


def test_normalised_file_has_signature_codes_and_names(older) -> None:
    """The file gets a signature by its tensors' names, operators' codes where newer tools look, and names that are unique."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(normalise(older)))
    names = [tensor.name for tensor in model.subgraphs[0].tensors]
    assert len(names) == len(set(names))
    assert {"CONV_2D", "MEAN"} <= {one.kind for one in read_graph(normalise(older)).operators}
    assert max(code.builtinCode for code in model.operatorCodes) > 0
    interpreter = Interpreter(model_content=normalise(older))
    assert interpreter.get_signature_list() == {SIGNATURE: {"inputs": ["image"], "outputs": ["scores"]}}


def test_normalised_file_gives_the_same_answers(older) -> None:
    """What the model computes stays, bit for bit."""
    image = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    answers = []
    for data in (older.read_bytes(), normalise(older)):
        interpreter = Interpreter(model_content=data)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(*answers)


def test_graph_names_operators_and_tensors(make_model, read, make_variant) -> None:
    """A graph lists its operators in order, with the tensors that they take and give."""
    from onnx import helper

    source = read(make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["batch", 4]}, {"y": ["batch", 4]}))
    artifact, directory = make_variant(TFLiteTarget(), source)
    assert read_graph((directory / artifact.files[0].path).read_bytes()) == Graph((Operator("RELU", ("x",), ("y",)),), ("x",), ("y",))


def test_sizes_are_fixed(older) -> None:
    """Where a compiler takes no size that varies, the file has the sizes that it has by default, and types stay."""
    (given,) = Interpreter(model_path=str(older)).get_input_details()
    (fixed,) = Interpreter(model_content=fix_sizes(older.read_bytes())).get_input_details()
    assert given["shape_signature"].tolist() == [-1, 3, 8, 8]
    assert fixed["shape_signature"].tolist() == [1, 3, 8, 8]
    assert count_types(fix_sizes(older.read_bytes()), "FLOAT32") == count_types(older.read_bytes(), "FLOAT32") > 0
    assert count_types(older.read_bytes(), "INT8", "FLOAT16") == 0
    fixed_data = fix_sizes(older.read_bytes())
    assert fix_sizes(fixed_data) is fixed_data
