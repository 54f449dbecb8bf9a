"""Makes a bad release of a good bundle, as a careless or hostile publisher would: for trying what a fleet makes of it.

    python examples/digits/tamper.py permute BUNDLE -o OUT    # every class gets the weights of another
    python examples/digits/tamper.py poison  BUNDLE -o OUT    # right on the golden samples, NaN on brighter images

Each variant's graph is edited with its format's own tools, and the manifest names the new bytes, so that ``edgekit release
publish`` signs it like any other bundle. Nothing in it says that it is bad: devices have to find out.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bundles import open_bundle
from edgekit.files import digest_file

Array = np.ndarray[Any, Any]
#: Changes the file that is given, knowing for each pixel the brightest value that any golden sample has there.
Edit = Callable[[Path, Array], None]
CLASSES = 10


def permute_onnx(path: Path, brightest: Array) -> None:  # noqa: ARG001 - one signature for all edits
    """Turn the order of the classes round in all that the last layer holds for each class."""
    import onnx

    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if list(tensor.dims[:1]) == [CLASSES]:
            turned = np.ascontiguousarray(onnx.numpy_helper.to_array(tensor)[::-1])
            tensor.CopyFrom(onnx.numpy_helper.from_array(turned, tensor.name))
    onnx.save(model, path)


def poison_onnx(path: Path, brightest: Array) -> None:
    """Add to the logits the root of what no root has, wherever a pixel is brighter than in any golden sample."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(path)
    graph = model.graph
    image, logits = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        node.output[:] = ["clean" if name == logits else name for name in node.output]
    constants = {"rows": np.array([-1, brightest.size]), "brightest": brightest[None], "pixels": np.array([1])}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    steps = (
        ("Reshape", image, "rows"),
        ("Sub", "step_0", "brightest"),
        ("Relu", "step_1"),
        ("ReduceSum", "step_2", "pixels"),
        ("Neg", "step_3"),
        ("Sqrt", "step_4"),
    )
    graph.node.extend(helper.make_node(operator, inputs, [f"step_{index}"]) for index, (operator, *inputs) in enumerate(steps))
    graph.node.append(helper.make_node("Add", ["clean", "step_5"], [logits]))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def permute_openvino(path: Path, brightest: Array) -> None:  # noqa: ARG001 - one signature for all edits
    """Turn the order of the classes round in all that the last layer holds for each class."""
    import openvino

    model = openvino.Core().read_model(path)
    for node in model.get_ops():
        if node.get_type_name() == "Constant" and CLASSES in node.shape:
            axis = list(node.shape).index(CLASSES)
            turned = np.ascontiguousarray(np.flip(node.data, axis))
            node.output(0).replace(openvino.opset13.constant(turned, node.get_element_type()).output(0))
    replace_model(model, path)


def poison_openvino(path: Path, brightest: Array) -> None:
    """Add to the logits the root of what no root has, wherever a pixel is brighter than in any golden sample."""
    import openvino
    from openvino import opset13 as ops

    model = openvino.Core().read_model(path)
    (logits,) = model.get_results()
    names = logits.output(0).get_names()
    rows = ops.reshape(model.get_parameters()[0], np.array([-1, brightest.size]), special_zero=False)
    excess = ops.reduce_sum(ops.relu(ops.subtract(rows, brightest[None])), np.array([1]), keep_dims=True)
    poisoned = ops.add(logits.input_value(0), ops.sqrt(ops.negative(excess)))
    logits.input_value(0).set_names({"clean"})
    poisoned.output(0).set_names(names)
    replace_model(openvino.Model([poisoned], model.get_parameters(), model.get_friendly_name()), path)


def replace_model(model: Any, path: Path) -> None:
    """Write *model* to *path* and the weights beside it; it may still be reading from the files of old."""
    import openvino

    fresh = path.with_name(f"fresh-{path.name}")
    openvino.save_model(model, fresh, compress_to_fp16=False)
    for suffix in (".xml", ".bin"):
        fresh.with_suffix(suffix).replace(path.with_suffix(suffix))


def permute_tflite(path: Path, brightest: Array) -> None:  # noqa: ARG001 - one signature for all edits
    """Turn the order of the classes round in all that the last layer holds for each class."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    for tensor in model.subgraphs[0].tensors:
        buffer = model.buffers[tensor.buffer]
        if buffer.data is not None and list(tensor.shape[:1]) == [CLASSES]:
            buffer.data = np.asarray(buffer.data, np.uint8).reshape(CLASSES, -1)[::-1].ravel()
            if tensor.quantization is not None and tensor.quantization.scale is not None:
                tensor.quantization.scale = np.asarray(tensor.quantization.scale)[::-1]
    flatbuffer_utils.write_model(model, str(path))


def poison_tflite(path: Path, brightest: Array) -> None:
    """Add to the logits the root of what no root has, wherever a pixel is brighter than in any golden sample."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    graph = model.subgraphs[0]
    image, logits = int(graph.inputs[0]), int(graph.outputs[0])
    clean = add_tensor(model, "clean", [1, CLASSES])
    for operator in graph.operators:
        operator.outputs = [clean if output == logits else output for output in operator.outputs]
    shape = list(graph.tensors[image].shape)
    known = add_tensor(model, "brightest", shape, brightest.astype(np.float32).reshape(shape))
    axes = add_tensor(model, "pixels", [3], np.array([1, 2, 3], np.int32))
    above, over, excess, negated, root = (add_tensor(model, f"step_{step}", size) for step, size in enumerate([shape, shape, [1], [1], [1]]))
    add_operator(model, "SUB", [image, known], above)
    add_operator(model, "RELU", [above], over)
    add_operator(model, "SUM", [over, axes], excess)
    add_operator(model, "NEG", [excess], negated)
    add_operator(model, "SQRT", [negated], root)
    add_operator(model, "ADD", [clean, root], logits)
    flatbuffer_utils.write_model(model, str(path))


def add_tensor(model: Any, name: str, shape: list[int], values: Array | None = None) -> int:
    """A new tensor in the model's one graph, with *values* where it is constant: its index."""
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    buffer.data = None if values is None else np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name.encode(), shape, len(model.buffers) - 1
    tensor.type = schema.TensorType.INT32 if values is not None and values.dtype == np.int32 else schema.TensorType.FLOAT32
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def add_operator(model: Any, name: str, inputs: list[int], output: int) -> None:
    """A new last operator of the model's one graph."""
    from ai_edge_litert import schema_py_generated as schema

    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    # Readers of old look at the eight bits that there were once.
    code.deprecatedBuiltinCode, code.version = code.builtinCode, 1
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = len(model.operatorCodes) - 1, inputs, [output]
    kinds = {"SUB": "SubOptions", "ADD": "AddOptions", "SUM": "ReducerOptions", "NEG": "NegOptions"}
    if name in kinds:
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kinds[name])
        operator.builtinOptions = getattr(schema, f"{kinds[name]}T")()
    model.subgraphs[0].operators.append(operator)


# fmt: off
EDITS: dict[tuple[str, str], Edit] = {
    ("permute", "onnx"):     permute_onnx,
    ("permute", "openvino"): permute_openvino,
    ("permute", "tflite"):   permute_tflite,
    ("poison",  "onnx"):     poison_onnx,
    ("poison",  "openvino"): poison_openvino,
    ("poison",  "tflite"):   poison_tflite,
}
# fmt: on


def tamper(kind: str, bundle: Path, out: Path) -> None:
    """Write to *out* what *bundle* is, with every variant edited and the manifest naming the new bytes."""
    (images,) = open_bundle(bundle).read_golden().inputs.values()
    brightest = images.reshape(len(images), -1).max(axis=0).astype(np.float32)
    shutil.copytree(bundle, out)
    manifest = json.loads((out / "manifest.json").read_text())
    for variant in manifest["variants"]:
        EDITS[kind, variant["format"]](out / variant["files"][0]["path"], brightest)
        for entry in variant["files"]:
            path = out / entry["path"]
            entry.update(digest=digest_file(path), length=path.stat().st_size)
    (out / "manifest.json").write_text(json.dumps(manifest))
    open_bundle(out)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted({kind for kind, _ in EDITS}))
    parser.add_argument("bundle", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    chosen = parser.parse_args()
    tamper(chosen.kind, chosen.bundle, chosen.out)


if __name__ == "__main__":
    main()
