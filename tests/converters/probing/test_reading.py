"""The operators of a model, in the forms that probing knows."""

from collections import Counter

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit_converters.probing.reading import list_uses


def read(model: onnx.ModelProto, tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return {(use.form.operator, use.form.dtype, use.form.constants): use for use in list_uses(path, "onnx")}


def test_operators_are_counted_by_form(make_conv, tmp_path) -> None:
    """Three convolutions alike are one row; the version is that which the model's opset means."""
    uses = read(make_conv(classes=4), tmp_path)
    assert {key: use.count for key, use in uses.items()} == {
        ("Conv", "float32", "rest"): 2,
        ("Relu", "float32", "none"): 1,
        ("GlobalAveragePool", "float32", "none"): 1,
        ("Flatten", "float32", "none"): 1,
        ("MatMul", "float32", "rest"): 1,
    }
    conv = uses["Conv", "float32", "rest"]
    assert (conv.form.since, conv.versions) == (11, (11, 22))


def test_constants_and_types_are_told_apart(make_model, tmp_path) -> None:
    """An embedding has its data as a constant and its indices given; types that nobody wrote down are inferred."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Add", ["rows", "rows"], ["twice"]),
        helper.make_node("Shape", ["twice"], ["shape"]),
        helper.make_node("Cast", ["shape"], ["out"], to=TensorProto.FLOAT),
    ]
    model = make_model(nodes, {"ids": [1, 4]}, {"out": [3]}, {"table": np.zeros((10, 8), np.float32)}, dtype=TensorProto.INT64)
    assert set(read(model, tmp_path)) == {
        ("Gather", "float32", "first"),
        ("Add", "float32", "none"),
        ("Shape", "float32", "none"),
        ("Cast", "int64", "none"),
    }


def test_branches_are_gone_into(tmp_path) -> None:
    """An operator within an If counts, and sees the tensors outside of it."""
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "b", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])])
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "c", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])])
    inputs = [helper.make_tensor_value_info("c", TensorProto.BOOL, []), helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [2])]
    graph = helper.make_graph([helper.make_node("If", ["c"], ["out"], then_branch=branch, else_branch=other)], "g", inputs, outputs)
    uses = read(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path)
    assert set(uses) == {("If", "bool", "none"), ("Relu", "float32", "none"), ("Neg", "float32", "none")}


def test_an_operator_between_q_and_dq_is_of_int8(find_case, tmp_path) -> None:
    """Its weight counts as a constant, though a DQ stands between."""
    uses = read(find_case("Conv", dtype="int8", constants="rest", is_quantised=True).model, tmp_path)
    (conv,) = [use for use in uses.values() if use.form.operator == "Conv"]
    assert (conv.form.dtype, conv.form.constants, conv.form.is_quantised) == ("int8", "rest", True)


def test_attributes_that_are_tensors_are_no_inputs(make_model, tmp_path) -> None:
    """A Constant's result is a constant wherever it is used."""
    value = numpy_helper.from_array(np.array([1, 16], np.int64))
    nodes = [helper.make_node("Constant", [], ["shape"], value=value), helper.make_node("Reshape", ["x", "shape"], ["y"])]
    assert ("Reshape", "float32", "rest") in read(make_model(nodes, {"x": [4, 4]}, {"y": [1, 16]}), tmp_path)


def test_a_tflite_file_is_read_by_its_own_operators(onnx2tf, find_case, tmp_path) -> None:
    """Operators have TFLite's names, custom ones their own, and what is quantised is told by its scales."""
    from edgekit_converters.probing.tflite_cases import collect_tflite_cases

    (part,) = [one for one in collect_tflite_cases([find_case("Relu")]) if one.form.operator == "RELU"]
    path = tmp_path / "part.tflite"
    path.write_bytes(part.data)
    assert Counter(use.form.operator for use in list_uses(path, "tflite")) == {"RELU": 1}


def test_an_ir_is_read_by_its_layers(tmp_path) -> None:
    """Inputs, outputs and constants are no operators, and the opset of each layer is its version."""
    layers = '<layer type="Parameter" version="opset1"/><layer type="Const"/><layer type="Result" version="opset1"/>'
    relu = '<layer type="ReLU" version="opset1"><output><port precision="FP32"/></output></layer>'
    path = tmp_path / "model.xml"
    path.write_text(f'<?xml version="1.0"?><net><layers>{layers}{relu}<layer type="Gelu" version="opset7"/></layers></net>')
    found = {use.form.operator: (use.form.since, use.form.dtype) for use in list_uses(path, "openvino")}
    assert found == {"ReLU": (1, "fp32"), "Gelu": (7, "unknown")}
