"""Runs in a child process, under any Python that has the runtime: loads one-node models and says what became of each.

Called with the runtime's name. Each line on stdin is a job, a JSON object with the paths *model*, *inputs* and *outputs*
(``.npz``) and whether it is *quantised*; each line of the answer is an object with *executed*, or with *error*. Imports
only the runtime, numpy and the standard library, since it runs in environments that have nothing else.
"""

import contextlib
import copy
import io
import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: A runtime that wants more memory than this is stopped before the machine is.
_MEMORY_BYTES = 16 << 30

Answer = dict[str, Any]
Feeds = dict[str, Any]


def probe_onnxruntime(job: Answer, feeds: Feeds) -> Answer:
    """*executed* has for each kernel that ran its operator and the types of its inputs, as the profile tells."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    # Without optimisation an operator runs by its own kernel or not at all; int8 kernels come only by optimisation.
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if job["quantised"] else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_profiling = True
    options.profile_file_prefix = job["outputs"]
    session = onnxruntime.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
    try:
        answers = session.run(None, feeds)
    finally:
        profile = Path(session.end_profiling())
        events = json.loads(profile.read_text(encoding="utf-8"))
        profile.unlink()
    _save(job, {output.name: answer for output, answer in zip(session.get_outputs(), answers, strict=True)})
    kernels = [event["args"] for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]
    return {"executed": [[kernel["op_name"], [kind for one in kernel["input_type_shape"] for kind in one]] for kernel in kernels]}


def probe_openvino(job: Answer, feeds: Feeds) -> Answer:
    """*executed* has each layer of the compiled model: its type, the primitive that was chosen, and its precision."""
    import openvino

    core = openvino.Core()
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    model = core.read_model(job["model"])
    compiled = core.compile_model(model, "CPU", options)
    # Names may be lost where outputs are shared, and their order is kept.
    ports = [next((port for port in compiled.inputs if name in port.get_names()), None) for name in feeds]
    given = {port: array for port, array in zip(ports, feeds.values(), strict=True) if port is not None}
    answers = compiled.create_infer_request().infer(given).to_tuple()
    _save(job, dict(zip(job["names"], answers, strict=False)))
    return {"executed": [_describe_layer(node.get_rt_info()) for node in compiled.get_runtime_model().get_ordered_ops()]}


def _describe_layer(info: Any) -> list[str]:
    return [info[key].astype(str) if key in info else "" for key in ("layerType", "primitiveType", "runtimePrecision")]


def probe_litert(job: Answer, feeds: Feeds) -> Answer:
    """*executed* has each operator outside of XNNPACK, *delegated* each inside, with the types of their inputs."""
    from ai_edge_litert.interpreter import Interpreter

    return _interpret(Interpreter, job, feeds)


def probe_tflite_runtime(job: Answer, feeds: Feeds) -> Answer:
    """As probe_litert, with the older package."""
    from tflite_runtime.interpreter import Interpreter

    return _interpret(Interpreter, job, feeds)


def _interpret(make_interpreter: Any, job: Answer, feeds: Feeds) -> Answer:
    interpreter = make_interpreter(model_path=job["model"], num_threads=1)
    inputs = {details["name"]: details for details in interpreter.get_input_details()}
    for details, array in _match(inputs, feeds):
        interpreter.resize_tensor_input(details["index"], array.shape)
    interpreter.allocate_tensors()
    for details, array in _match(inputs, feeds):
        interpreter.set_tensor(details["index"], array.astype(details["dtype"]))
    interpreter.invoke()
    outputs = interpreter.get_output_details()
    by_name = {details["name"]: interpreter.get_tensor(details["index"]) for details in outputs}
    in_order = zip(job["names"], outputs, strict=False)
    _save(job, {name: by_name.get(name, by_name[details["name"]]) for name, details in in_order})
    return _split_operators(interpreter)


def _match(inputs: dict[str, Any], feeds: Feeds) -> list[tuple[Any, Any]]:
    """Each input of the file with what it is fed: by its name, or in order where a converter has changed the names."""
    if set(inputs) <= set(feeds):
        return [(details, feeds[name]) for name, details in inputs.items()]
    return list(zip(inputs.values(), feeds.values(), strict=True))


def _split_operators(interpreter: Any) -> Answer:
    # A delegate takes operators whose results lie between what it is given and what it gives back.
    kinds = {details["index"]: np.dtype(details["dtype"]).name for details in interpreter.get_tensor_details()}
    operators = [(one["op_name"], one["inputs"].tolist(), one["outputs"].tolist()) for one in interpreter._get_ops_details()]
    delegates = [(inputs, outputs) for name, inputs, outputs in operators if name == "DELEGATE"]
    plain = [one for one in operators if one[0] != "DELEGATE"]
    inside: set[int] = set()
    for given, results in delegates:
        inside |= _find_between(plain, set(given), set(results))
    told = [[name, [kinds[index] for index in inputs if index in kinds]] for name, inputs, _ in plain]
    return {"executed": [one for index, one in enumerate(told) if index not in inside], "delegated": [told[index] for index in sorted(inside)]}


def _find_between(operators: list[tuple[str, list[int], list[int]]], given: set[int], wanted: set[int]) -> set[int]:
    """The operators, by index, that work out the tensors *wanted* from those *given*."""
    found: set[int] = set()
    # In the order of execution an operator's inputs come before it, so one pass backwards meets all.
    for index in range(len(operators) - 1, -1, -1):
        _, inputs, outputs = operators[index]
        if wanted & set(outputs):
            found.add(index)
            wanted |= set(inputs) - given
    return found


def convert_onnx2tf(job: Answer, feeds: Feeds) -> Answer:
    """*tflite* is the path of what onnx2tf makes of the model."""
    import onnx2tf  # type: ignore[import-not-found]  # it is in an environment of its own

    output = Path(job["outputs"])
    onnx2tf.convert(
        input_onnx_file_path=job["model"],
        output_folder_path=str(output),
        copy_onnx_input_output_names_to_tflite=True,
        keep_shape_absolutely_input_names=list(feeds),
        non_verbose=True,
        verbosity="error",
    )
    return {"tflite": str(next(output.glob("*_float32.tflite")))}


def take_apart(job: Answer, feeds: Feeds) -> Answer:
    """*parts* has for each operator of a TFLite file its own file, with the inputs that it gets there and what it answers."""
    from ai_edge_litert import interpreter as litert
    from ai_edge_litert import schema_py_generated as schema

    plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = litert.Interpreter(
        model_path=job["model"], num_threads=1, experimental_preserve_all_tensors=True, experimental_op_resolver_type=plain
    )
    inputs = {details["name"]: details for details in interpreter.get_input_details()}
    interpreter.allocate_tensors()
    for details, array in _match(inputs, feeds):
        interpreter.set_tensor(details["index"], array.astype(details["dtype"]))
    interpreter.invoke()
    model = schema.ModelT.InitFromPackedBuf(Path(job["model"]).read_bytes(), 0)
    whole = [operator for operator in model.subgraphs[0].operators if _stands_alone(operator) and not _has_texts(model, operator)]
    return {"parts": [_write_part(model, operator, interpreter, Path(f"{job['outputs']}-{index}")) for index, operator in enumerate(whole)]}


def _stands_alone(operator: Any) -> bool:
    """Whether *operator* has no other graph within it, as loops and branches have."""
    return not any(name.lower().endswith("subgraphindex") for name in vars(operator.builtinOptions or object))


def _has_texts(model: Any, operator: Any) -> bool:
    """Whether strings go into *operator* or come out: there are no figures to compare."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = model.subgraphs[0].tensors
    return any(tensors[index].type == schema.TensorType.STRING for index in (*operator.inputs, *operator.outputs) if index >= 0)


def _write_part(model: Any, operator: Any, interpreter: Any, path: Path) -> dict[str, str]:
    """Write the TFLite file that has *operator* alone, and beside it what it gets and what it answers."""
    import flatbuffers  # type: ignore[import-untyped]  # LiteRT brings it
    from ai_edge_litert import schema_py_generated as schema

    part = schema.ModelT()
    part.version, part.operatorCodes, part.buffers = 3, [model.operatorCodes[operator.opcodeIndex]], [schema.BufferT()]
    indices = list(dict.fromkeys(index for index in (*operator.inputs, *operator.outputs) if index >= 0))
    arrays = {index: interpreter.get_tensor(index) for index in indices if not _is_kept(model, index)}
    given = {f"tensor{index}": array for index, array in arrays.items() if index not in operator.outputs}
    answers = {f"tensor{index}": arrays[index] for index in operator.outputs}
    part.subgraphs = [_make_graph(model, operator, indices, arrays, part.buffers)]
    builder = flatbuffers.Builder()
    builder.Finish(part.Pack(builder), b"TFL3")
    files = {"model": f"{path}.tflite", "inputs": f"{path}-inputs.npz", "outputs": f"{path}-outputs.npz"}
    Path(files["model"]).write_bytes(builder.Output())
    np.savez(files["inputs"], **given)
    np.savez(files["outputs"], **answers)
    return files


def _is_kept(model: Any, index: int) -> bool:
    """Whether the tensor is a constant of the file, or what a recurrent operator remembers."""
    tensor = model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    return bool(tensor.isVariable) or (data is not None and len(data) > 0)


def _make_graph(model: Any, operator: Any, indices: list[int], arrays: dict[int, Any], buffers: list[Any]) -> Any:
    """A graph of *operator* alone, with the tensors *indices* in this order; what its constants hold is put into *buffers*."""
    from ai_edge_litert import schema_py_generated as schema

    places = {index: place for place, index in enumerate(indices)} | {-1: -1}
    alone = copy.copy(operator)
    alone.opcodeIndex = 0
    alone.inputs, alone.outputs = [places[index] for index in operator.inputs], [places[index] for index in operator.outputs]
    graph = schema.SubGraphT()
    graph.operators = [alone]
    graph.tensors = [_copy_tensor(model, index, arrays.get(index), buffers) for index in indices]
    graph.inputs = [places[index] for index in arrays if index not in operator.outputs]
    graph.outputs = alone.outputs
    return graph


def _copy_tensor(model: Any, index: int, array: Any, buffers: list[Any]) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    tensor = copy.copy(model.subgraphs[0].tensors[index])
    data = model.buffers[tensor.buffer].data
    tensor.name, tensor.buffer, tensor.shapeSignature = f"tensor{index}".encode(), 0, None
    if array is not None:
        # What varies in the whole has one size here.
        tensor.shape = list(array.shape)
    elif data is not None and len(data):
        tensor.buffer = len(buffers)
        buffers.append(schema.BufferT())
        buffers[-1].data = data
    return tensor


def quantise_tflite(job: Answer, feeds: Feeds) -> Answer:
    """*tflite* is the path of the file with int8 operators that the LiteRT quantizer makes."""
    from ai_edge_quantizer import algorithm_manager, qtyping, quantizer, recipe

    tool = quantizer.Quantizer(job["model"], recipe.static_wi8_ai8())
    for border in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        tool.update_quantization_recipe(".*", border, algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE)
    statistics = tool.calibrate({"serving_default": [feeds]})
    path = Path(job["outputs"]).with_suffix(".tflite")
    path.write_bytes(tool.quantize(statistics).quantized_model)
    return {"tflite": str(path)}


PROBES: dict[str, Callable[[Answer, Feeds], Answer]] = {
    "onnxruntime": probe_onnxruntime,
    "openvino": probe_openvino,
    "litert": probe_litert,
    "tflite-runtime": probe_tflite_runtime,
    "onnx2tf": convert_onnx2tf,
    "quantizer": quantise_tflite,
    "parts": take_apart,
}


def _save(job: Answer, answers: dict[str, Any]) -> None:
    # A string comes as an object, which numpy would write as a pickle.
    np.savez(job["outputs"], **{name: array.astype(str) if array.dtype == object else array for name, array in answers.items()})


def answer(probe: Callable[[Answer, Feeds], Answer], job: Answer) -> Answer:
    """What *probe* says of *job*; the runtime's own words where it raises."""
    try:
        with np.load(job["inputs"]) as arrays:
            feeds = dict(arrays)
        with contextlib.redirect_stdout(io.StringIO()):
            return probe(job, feeds)
    except SystemExit as stop:
        return {"error": f"it gave up with code {stop.code}"}
    except Exception as error:  # noqa: BLE001 - every failure is an answer, and goes to the parent
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Answer jobs until stdin ends."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    probe = PROBES[sys.argv[1]]
    # What runtimes print must not get between the answers.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            answers.write(json.dumps(answer(probe, json.loads(line))) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
