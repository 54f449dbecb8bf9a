"""Graphs of exported programs: what computes passes, and what could run is refused or left out."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import InputError
from edgekit_converters.pt2_graphs import clean_program

PATH = Path("model.pt2")
LEAF = {"type": None, "context": None, "children_spec": []}


def tree(type: str, context: object, *children: object) -> str:
    return json.dumps([1, {"type": type, "context": context, "children_spec": list(children)}])


def make_program(**node: Any) -> dict[str, Any]:
    """A program of one call, as torch.export.save writes it, with *node* put over that call."""
    argument = {"name": "self", "arg": {"as_tensor": {"name": "x"}}, "kind": 1}
    call = {"target": "torch.ops.aten.relu.default", "inputs": [argument], "outputs": [{"as_tensor": {"name": "relu"}}], "metadata": {}} | node
    size = {"as_expr": {"expr_str": "Symbol('s77', positive=True, integer=True)", "hint": {"as_int": 2}}}
    meta = {"dtype": 7, "sizes": [size], "requires_grad": False, "device": {"type": "cuda", "index": 0}, "strides": [{"as_int": 1}]}
    signature = {"in_spec": tree("builtins.tuple", "null", LEAF), "out_spec": tree("builtins.dict", '["logits"]', LEAF)}
    return {
        "graph_module": {
            "graph": {"inputs": [], "outputs": [], "nodes": [call], "tensor_values": {"x": meta, "target": meta}},
            "signature": {"input_specs": [], "output_specs": []},
            "module_call_graph": [{"fqn": "", "signature": signature}, {"fqn": "layer", "signature": None}],
            "treespec_namedtuple_fields": {"Evil": {"field_names": ["a"]}},
        },
        "opset_version": {"aten": 10},
        "torch_version": "2.13.0+cpu",
        "guards_code": ["__import__('os').system('true')"],
    }


def find_call(program: dict[str, Any]) -> dict[str, Any]:
    call: dict[str, Any] = program["graph_module"]["graph"]["nodes"][0]
    return call


def test_what_computes_stays() -> None:
    """A call of PyTorch's own operator keeps its target, arguments and results."""
    program = make_program()
    assert find_call(clean_program(program, PATH)) == find_call(program)


def test_what_torch_would_run_is_left_out() -> None:
    """Guards, which torch runs as Python, notes whose names it looks up, and named tuples do not come through."""
    cleaned = clean_program(make_program(metadata={"source_fn_stack": "a,torch.os.system"}), PATH)
    assert cleaned["guards_code"] == []
    assert find_call(cleaned)["metadata"] == {}
    assert cleaned["graph_module"]["treespec_namedtuple_fields"] == {}
    assert [entry["fqn"] for entry in cleaned["graph_module"]["module_call_graph"]] == [""]


def test_programs_from_a_gpu_run_on_the_cpu() -> None:
    """Tensors that were traced on a GPU are put on the CPU, and one that is called like a field of the graph stays a tensor."""
    values = clean_program(make_program(), PATH)["graph_module"]["graph"]["tensor_values"]
    assert values["x"]["device"] == values["target"]["device"] == {"type": "cpu", "index": None}


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.save",
        "torch.ops.aten.__class__",
        "torch.ops.load_library",
        "torch.ops.image.read_file.default",
        "torch.ops.higher_order.triton_kernel_wrapper_mutation",
        "torch.sym_int.__globals__",
        "torch._C._jit_pass",
        "_operator.attrgetter",
        "_operator.call",
        "math.__loader__",
        "#extension.op",
        "",
    ],
)
def test_calls_of_anything_else_are_refused(target: str) -> None:
    """A call of what is no operator of PyTorch's own that computes is refused by name."""
    with pytest.raises(InputError, match="no operator of PyTorch's own"):
        clean_program(make_program(target=target), PATH)


@pytest.mark.parametrize(
    "target", ["torch.ops.aten.__and__.Tensor", "torch.ops.higher_order.cond", "_operator.getitem", "math.ceil", "torch.sym_max"]
)
def test_operators_and_arithmetic_pass(target: str) -> None:
    """ATen's operators, branches and arithmetic on sizes are what programs are made of."""
    clean_program(make_program(target=target), PATH)


def test_names_that_are_code_are_refused() -> None:
    """Names get into code that torch generates, so one that Python could read as more than a name is refused."""
    with pytest.raises(InputError, match="could run as code"):
        clean_program(make_program(outputs=[{"as_tensor": {"name": "x=__import__('os')"}}]), PATH)


def test_sizes_that_are_code_are_refused() -> None:
    """Sizes are evaluated by torch, so one that is no sum or product is refused."""
    inputs = [{"name": "n", "arg": {"as_sym_int": {"as_expr": {"expr_str": "exit()"}}}, "kind": 1}]
    with pytest.raises(InputError, match="no sum or product"):
        clean_program(make_program(inputs=inputs), PATH)


def test_objects_of_custom_classes_are_refused() -> None:
    """An object that a library would have to bring back is refused."""
    inputs = [{"name": "o", "arg": {"as_custom_obj": {"name": "o", "class_fqn": "a.B"}}, "kind": 1}]
    with pytest.raises(InputError, match="custom class"):
        clean_program(make_program(inputs=inputs), PATH)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (tree("transformers.modeling_outputs.Output", '["logits", "boxes"]', LEAF, LEAF), ["builtins.dict", '["logits", "boxes"]']),
        (tree("collections.defaultdict", '["os", "system"]', LEAF), ["builtins.tuple", "null"]),
        (tree("builtins.dict", "[]"), ["builtins.dict", "[]"]),
        (tree("builtins.list", "null", LEAF), ["builtins.tuple", "null"]),
    ],
)
def test_trees_import_nothing(given: str, wanted: list[str]) -> None:
    """Classes that a tree names become dictionaries where they have fields, and tuples else."""
    program = make_program()
    program["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = given
    _, node = json.loads(clean_program(program, PATH)["graph_module"]["module_call_graph"][0]["signature"]["out_spec"])
    assert [node["type"], node["context"]] == wanted


@pytest.mark.parametrize("damage", [lambda p: p.pop("graph_module"), lambda p: find_call(p).update(target=3), lambda p: p["graph_module"].clear()])
def test_damaged_graphs_are_refused(damage) -> None:
    """A graph with a field missing or of another kind is damaged, not an error of ours."""
    program = copy.deepcopy(make_program())
    damage(program)
    with pytest.raises(InputError, match="damaged"):
        clean_program(program, PATH)
