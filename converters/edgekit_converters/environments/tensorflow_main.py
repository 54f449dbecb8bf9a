"""Runs inside the environment ``tensorflow``, under its own Python: Keras models, SavedModels and TFLite files to ONNX.

Called with two paths, the request and the response, both JSON. The request names a *task* and a *path*, and has limits:
*memory* and *file*, in bytes. The response has ``result``, or ``error`` with a message. Tasks:

- ``inspect``: the ``model_config`` of an HDF5 file, or of the weights in a ``.keras`` archive None, once it is seen that
  the file refers to no other and unpacks to no more than *largest* bytes.
- ``export``: *onnx* and *tflite* files of a Keras model or SavedModel (*kind*) in *output*, or why there are none.
- ``answer``: what the model itself answers to the arrays of the file *samples*, in the file *answers*.
- ``from-tflite``: the ONNX file *output* of a TFLite file whose inputs and outputs have the *shapes* by name, and whether
  the first axis is *dynamic*.

Imports only what the environment has: TensorFlow, Keras, tf_keras, tf2onnx, h5py, and the standard library.
"""

# The packages of this environment are not in the workstation's, where types are checked.
# mypy: disable-error-code="import-not-found, import-untyped, no-untyped-call"

import io
import itertools
import json
import os
import re
import resource
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Request = dict[str, Any]

_OPSET = 17
_WEIGHTS = "model.weights.h5"
_LONGEST = 600


@dataclass(frozen=True)
class Program:
    """A model as one function of tensors in a fixed order, under the names that its framework gives them.

    *owner* holds the model's variables, which are gone once nobody does.
    """

    framework: str
    owner: Any
    inputs: list[str]
    outputs: list[str]
    signature: list[Any]
    call: Callable[..., list[Any]]

    def trace(self, batch: int | None = None) -> Any:
        """The function as TensorFlow's converters want it, with *batch* for a first axis that may vary.

        Its tensors are named by place: not every name is fit for a graph.
        """
        import tensorflow as tf

        def numbered(*tensors: Any) -> dict[str, Any]:
            return {f"output{place:03}": tf.identity(tensor) for place, tensor in enumerate(self.call(*tensors))}

        shapes = [[batch if axis == 0 and size is None else size for axis, size in enumerate(spec.shape)] for spec in self.signature]
        dtypes = [spec.dtype for spec in self.signature]
        named = [tf.TensorSpec(shape, dtype, name=f"input{place:03}") for place, (shape, dtype) in enumerate(zip(shapes, dtypes, strict=True))]
        return tf.function(numbered, input_signature=named, autograph=False)


class RefusedError(Exception):
    """The model is not one that is run here."""


def inspect(request: Request) -> dict[str, Any]:
    """The configuration of a Keras file in HDF5, which says what its layers are. Nothing is built from it here."""
    import h5py

    with h5py.File(_open_weights(Path(request["path"])), "r") as file:
        _check_links(file, request["largest"])
        config = file.attrs.get("model_config")
    return {"config": config.decode() if isinstance(config, bytes) else config}


def _open_weights(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        return str(path)
    with zipfile.ZipFile(path) as archive:
        return io.BytesIO(archive.read(_WEIGHTS))


def _check_links(file: Any, largest: int) -> None:
    """Refuse data that lie in other files, and more of them than *largest* bytes."""
    total = 0
    for name, dataset in _list_datasets(file):
        if dataset.external or dataset.is_virtual:
            raise RefusedError(f"its data {name!r} are said to lie in another file")
        total += dataset.nbytes
        if total > largest:
            raise RefusedError(f"its arrays need more than {largest >> 20} MiB")


def _list_datasets(file: Any) -> Iterator[tuple[str, Any]]:
    import h5py

    waiting, seen = [file], set()
    while waiting:
        group = waiting.pop()
        # A group may hold itself.
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        for name in group:
            if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                raise RefusedError(f"its part {name!r} is said to lie in another file")
            member = group[name]
            if isinstance(member, h5py.Group):
                waiting.append(member)
            else:
                yield member.name, member


def export(request: Request) -> dict[str, Any]:
    """The model as ONNX and as TFLite, each as far as its converter gets."""
    program = load_program(request)
    output = Path(request["output"])
    made = {"onnx": output / "model.onnx", "tflite": output / "model.tflite"}
    faults = {
        "onnx": _attempt("tf2onnx", lambda: _write_onnx(program, made["onnx"])),
        "tflite": _attempt("TensorFlow's TFLite converter", lambda: _write_tflite(program, made["tflite"])),
    }
    return {
        "framework": program.framework,
        "inputs": [_describe(name, spec) for name, spec in zip(program.inputs, program.signature, strict=True)],
        "outputs": program.outputs,
        "made": {form: str(path) for form, path in made.items() if faults[form] is None},
        "faults": {form: fault for form, fault in faults.items() if fault is not None},
    }


def _describe(name: str, spec: Any) -> dict[str, Any]:
    return {"name": name, "dtype": spec.dtype.name, "shape": list(spec.shape)}


def _attempt(tool: str, make: Callable[[], None]) -> str | None:
    try:
        make()
    except Exception as error:  # noqa: BLE001 - converters raise what they like, and the caller tells it
        return f"{tool} cannot convert it: {_summarize(error)}"
    return None


def _number_nodes() -> None:
    """Let tf2onnx go through its sets of nodes in the order in which these were made.

    By itself a node's hash is its address, which is another in each process: tf2onnx numbers tensors in that order, so that
    it wrote other names of one model each time.
    """
    import tf2onnx

    numbers, make = itertools.count(), tf2onnx.graph.Node.__init__

    def make_numbered(node: Any, *given: Any, **named: Any) -> None:
        node.made_as = next(numbers)
        make(node, *given, **named)

    tf2onnx.graph.Node.__init__ = make_numbered
    tf2onnx.graph.Node.__hash__ = lambda node: int(node.made_as)


def _write_onnx(program: Program, path: Path) -> None:
    import tf2onnx

    _number_nodes()
    function = program.trace()
    model, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=_OPSET)
    _check_operators(model)
    _name_borders(model, program)
    path.write_bytes(model.SerializeToString())


def _name_borders(model: Any, program: Program) -> None:
    """Give inputs and outputs the framework's names, and the first axis that may vary the name ``batch``."""
    shapes = {f"input{place:03}": list(spec.shape) for place, spec in enumerate(program.signature)}
    dynamic = all(shape and shape[0] is None for shape in shapes.values())
    for value in model.graph.input:
        _name_sizes(value, dynamic=dynamic, shape=shapes[value.name])
    for value in model.graph.output:
        _name_sizes(value, dynamic=dynamic)
    # They have names of their own for the same sizes.
    del model.graph.value_info[:]
    given = {f"input{place:03}": name for place, name in enumerate(program.inputs)}
    given |= {f"output{place:03}": name for place, name in enumerate(program.outputs)}
    _rename(model.graph, {name: f"{name}__inner" for name in given.values()} | given)


def _name_sizes(value: Any, *, dynamic: bool, shape: list[int | None] | None = None) -> None:
    """Name the sizes of the tensor *value* that may vary; *shape* has its true sizes where they are known."""
    for axis, size in enumerate(value.type.tensor_type.shape.dim):
        if shape is not None and shape[axis] is not None:
            size.dim_value = shape[axis]
        elif not size.HasField("dim_value"):
            # A name that tf2onnx gave stands for one tensor alone, so no name says more.
            size.dim_param = "batch" if axis == 0 and dynamic else ""


def _rename(graph: Any, names: dict[str, str]) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(name, name) for name in tensors]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner, names)


def _check_operators(model: Any) -> None:
    """tf2onnx leaves what it cannot convert in the graph, under TensorFlow's or TFLite's name."""
    import onnx

    known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    unknown = sorted({node.op_type for node in model.graph.node if node.domain in ("", "ai.onnx") and node.op_type not in known})
    if unknown:
        raise RefusedError(f"it has no rule for {', '.join(name.removeprefix('TFL_') for name in unknown)}")


def _write_tflite(program: Program, path: Path) -> None:
    try:
        data = _convert_to_tflite(program, None)
    except Exception:  # noqa: BLE001 - the converter's own class has no public name
        # A loop, as recurrent layers are, has tensors whose shapes must be known; a batch of one makes them so.
        data = _convert_to_tflite(program, 1)
    path.write_bytes(_name_tensors(data, program))


def _convert_to_tflite(program: Program, batch: int | None) -> bytes:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # Frozen first: variables of Keras 3 are none that the converter finds by itself.
    frozen = convert_variables_to_constants_v2(program.trace(batch).get_concrete_function())
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert())


def _name_tensors(data: bytes, program: Program) -> bytes:
    """The TFLite file *data* with the framework's names on its inputs and outputs."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    for index in graph.inputs:
        graph.tensors[index].name = program.inputs[int(graph.tensors[index].name.decode().removeprefix("input"))]
    for index, name in zip(graph.outputs, program.outputs, strict=True):
        graph.tensors[index].name = name
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def answer(request: Request) -> dict[str, Any]:
    """What the model itself answers to *samples*, written to *answers* by the names of its outputs."""
    import numpy as np
    import tensorflow as tf

    program = load_program(request)
    with np.load(request["samples"], allow_pickle=False) as samples:
        tensors = [tf.constant(samples[name], spec.dtype) for name, spec in zip(program.inputs, program.signature, strict=True)]
    answers = program.call(*tensors)
    np.savez(request["answers"], **{name: tensor.numpy() for name, tensor in zip(program.outputs, answers, strict=True)})
    return {"answers": request["answers"]}


def load_program(request: Request) -> Program:
    """The model that *request* names, ready to be traced; RefusedError or what its framework raises where it cannot be read."""
    if request["kind"] == "keras":
        return _load_keras(request["path"], allow_code=request["allow_code"])
    return _load_saved_model(request["path"], request["forbidden"])


def _load_keras(path: str, *, allow_code: bool) -> Program:
    """A Keras model by Keras 3, else by tf_keras, which is Keras 2: files of one are not always read by the other."""
    import keras
    import tf_keras

    refusals = []
    for name, framework in (("Keras", keras), ("tf_keras", tf_keras)):
        try:
            model = framework.models.load_model(path, compile=False, safe_mode=not allow_code)
            return _open_keras(model, f"{name} {framework.__version__}")
        except Exception as error:  # noqa: BLE001 - each raises what it likes, and both are told
            refusals.append(f"{name} {framework.__version__} says: {_summarize(error)}")
    raise RefusedError("; ".join(refusals))


def _open_keras(model: Any, framework: str) -> Program:
    import tensorflow as tf

    if not getattr(model, "inputs", None) or not model.outputs:
        raise RefusedError("it was saved without the shapes of its inputs; call it once before you save it")
    inputs = [tensor.name.split(":")[0] for tensor in model.inputs]
    # A Sequential of Keras 3 has no list of its outputs' names: it has one output, its last layer's.
    outputs = list(getattr(model, "output_names", None) or [model.layers[-1].name])

    def call(*tensors: Any) -> list[Any]:
        given = tensors[0] if len(tensors) == 1 else list(tensors)
        return list(tf.nest.flatten(model(given, training=False)))

    signature = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs]
    return Program(framework, model, _part_names(inputs), _part_names(outputs), signature, call)


def _part_names(names: list[str]) -> list[str]:
    """*names*, each once: a layer that is used twice gives two outputs of one name."""
    return [name if names.count(name) == 1 else f"{name}_{names[:place].count(name)}" for place, name in enumerate(names)]


def _load_saved_model(path: str, forbidden: str) -> Program:
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    signature = _find_signature(dict(loaded.signatures))
    # Seen again here, in the very function that is going to run, since a file may show one and hold another.
    _check_graph(signature.graph.as_graph_def(), re.compile(forbidden))
    specs = signature.structured_input_signature[1]
    inputs, outputs = sorted(specs), sorted(signature.structured_outputs)

    def call(*tensors: Any) -> list[Any]:
        answers = signature(**dict(zip(inputs, tensors, strict=True)))
        return [answers[name] for name in outputs]

    return Program(f"TensorFlow {tf.__version__}", loaded, inputs, outputs, [specs[name] for name in inputs], call)


def _find_signature(signatures: dict[str, Any]) -> Any:
    if "serving_default" in signatures:
        return signatures["serving_default"]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    listed = ", ".join(sorted(signatures)) or "none"
    raise RefusedError(f"it has no signature 'serving_default' (it has {listed}); save it with signatures={{'serving_default': function}}")


def _check_graph(graph: Any, forbidden: re.Pattern[str]) -> None:
    for node in (*graph.node, *(node for function in graph.library.function for node in function.node_def)):
        if forbidden.fullmatch(node.op):
            raise RefusedError(f"its node {node.name!r} is a {node.op}, which does more than compute with its inputs")


def convert_tflite(request: Request) -> dict[str, Any]:
    """The TFLite file as ONNX."""
    fault = _attempt("tf2onnx", lambda: _write_onnx_of_tflite(request))
    if fault is not None:
        raise RefusedError(fault)
    return {"onnx": request["output"]}


def _write_onnx_of_tflite(request: Request) -> None:
    import tf2onnx

    _number_nodes()
    model, _ = tf2onnx.convert.from_tflite(request["path"], opset=_OPSET)
    _check_operators(model)
    for value in (*model.graph.input, *model.graph.output):
        _name_sizes(value, dynamic=request["dynamic"], shape=request["shapes"][value.name])
    del model.graph.value_info[:]
    Path(request["output"]).write_bytes(model.SerializeToString())


TASKS: dict[str, Callable[[Request], dict[str, Any]]] = {
    "inspect": inspect,
    "export": export,
    "answer": answer,
    "from-tflite": convert_tflite,
}


def respond(request: Request) -> dict[str, Any]:
    """``result`` or ``error`` for *request*, whatever the frameworks raise."""
    _limit(request)
    try:
        return {"result": TASKS[request["task"]](request)}
    except RefusedError as refusal:
        return {"error": str(refusal)}
    except Exception as error:  # noqa: BLE001 - every failure goes to the caller, who tells it
        return {"error": f"{type(error).__name__}: {_summarize(error)}"}


def _limit(request: Request) -> None:
    """Bound what a hostile file can take (setrlimit(2)): this process's memory and the size of what it writes."""
    for kind, size in ((resource.RLIMIT_AS, request["memory"]), (resource.RLIMIT_FSIZE, request["file"]), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))


def _summarize(error: BaseException) -> str:
    """The message in one line, shortened. Of the places that TensorFlow's compiler lists the one with the fault is told."""
    plain = re.sub(r"\x1b\[[0-9;]*m|\{\{[^}]*\}\}", "", str(error))
    faults = re.findall(r"error: (?!failed while converting)([^\n]+)", plain)
    text = " ".join((faults[0] if faults else plain).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def main() -> None:
    """Answer the request at the first path with a file at the second."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # No graphics card: what is converted is small, and a card's memory may be another's.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    request_path, response_path = map(Path, sys.argv[1:])
    response = respond(json.loads(request_path.read_text(encoding="utf-8")))
    response_path.write_text(json.dumps(response), encoding="utf-8")


if __name__ == "__main__":
    main()
