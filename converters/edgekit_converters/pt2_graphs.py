"""The graph of an exported program, made harmless: what torch would run, evaluate or import of it is checked or left out.

torch.export.load looks targets of calls up anywhere in torch, evaluates sizes as Python (sympy.sympify), puts names into
code that it executes (torch.fx) and imports the classes that a tree names. A graph that comes from anybody is therefore
rewritten first: calls to ATen's operators and to arithmetic alone, sizes that are sums and products, names without
anything that Python could take for code, and trees of tuples and dictionaries.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgekit.errors import InputError
from edgekit_converters.pt2_sizes import is_size

Json = Any

_NAME = re.compile(r"[\w.@:/-]{0,512}")
_REMEDY = "Export it again with torch.export.save, from a model of plain PyTorch operators."

_INPLACE = r"__(?:i?and|i?or|i?xor|i?lshift|i?rshift)__"
_ATEN = re.compile(rf"torch\.ops\.(?:aten|quantized_decomposed)\.(?P<name>{_INPLACE}|(?!__)\w+)(?:\.(?!__)\w+)?")
#: ATen's operators that touch files or print.
_FILES = frozenset({"from_file", "save", "_print", "warn"})
_FLOW = "cond|while_loop|scan|associative_scan|map_impl|wrap_with_set_grad_enabled|wrap_with_autocast|invoke_subgraph"
_HIGHER_ORDER = re.compile(rf"torch\.ops\.higher_order\.(?:{_FLOW})")
_NUMBERS = "getitem|add|sub|mul|floordiv|truediv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|not_|xor|lshift|rshift|index"
_ROUNDING = "ceil|floor|trunc|sqrt|pow|log2?|exp|cos|sin|tan|isnan|isinf"
_ARITHMETIC = re.compile(rf"_operator\.(?:{_NUMBERS})|math\.(?:{_ROUNDING})|torch\.(?:_?sym_(?!_)\w+)")

#: Objects whose keys are names that the model chose.
_BY_NAME = (
    "tensor_values", "sym_int_values", "sym_bool_values", "sym_float_values", "custom_obj_values",
    "as_string_to_argument", "range_constraints", "opset_version",
)  # fmt: skip

_LEAF: Json = {"type": None, "context": None, "children_spec": []}
_TUPLE, _DICT = "builtins.tuple", "builtins.dict"
#: Their context is the list of their keys.
_DICTIONARIES = (_DICT, "collections.OrderedDict")


def clean_program(program: Json, path: Path) -> Json:
    """*program*, the JSON of an exported program in the file *path*, with nothing in it that could run.

    Raises:
        InputError: it calls something that is no operator of PyTorch's own, or is no exported program.
    """
    try:
        cleaned = _Cleaner(path).clean(program)
        module = cleaned["graph_module"]
        module["module_call_graph"] = [entry for entry in module["module_call_graph"] if not entry["fqn"]]
        module["treespec_namedtuple_fields"] = {}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(path, f"its graph is damaged: {type(error).__name__}: {error}", _REMEDY) from error
    return cleaned


class _Cleaner:
    """Walks the JSON of one program; each key that torch gives a meaning beyond data has a rule of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rules: Mapping[str, Callable[[Json], Json]] = {
            "target": self._check_operator,
            "as_operator": self._check_operator,
            "expr_str": self._check_expression,
            "in_spec": self._clean_tree,
            "out_spec": self._clean_tree,
            # Strings that operators take are written into code by repr().
            "as_string": _require_text,
            "as_strings": lambda texts: [_require_text(text) for text in texts],
            "as_custom_obj": self._refuse_object,
            "custom_obj": self._refuse_object,
            "device": _move_to_cpu,
            "as_device": _move_to_cpu,
            # Notes on where a call came from: torch looks names in them up, and no conversion needs them.
            "metadata": lambda _: {},
            # Torch runs them as Python; they only repeat what a program's sizes say.
            "guards_code": lambda _: [],
            "torch_version": lambda _: "",
        } | dict.fromkeys(_BY_NAME, self._clean_by_name)

    def clean(self, value: Json) -> Json:
        """*value* with each of its parts checked; what only notes something is left out."""
        if isinstance(value, dict):
            return {self._check_name(key): self._clean_field(key, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.clean(item) for item in value]
        return self._check_name(value) if isinstance(value, str) else value

    def _clean_field(self, key: str, value: Json) -> Json:
        return self._rules.get(key, self.clean)(value)

    def _clean_by_name(self, value: Json) -> Json:
        return {self._check_name(name): self.clean(item) for name, item in value.items()}

    def _check_name(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise InputError(self._path, f"it has the name {name[:80]!r}, which no model needs and which could run as code", _REMEDY)
        return name

    def _check_operator(self, target: str) -> str:
        aten = _ATEN.fullmatch(target)
        if aten is not None and aten["name"] not in _FILES:
            return target
        if _HIGHER_ORDER.fullmatch(target) or _ARITHMETIC.fullmatch(target):
            return target
        raise InputError(self._path, f"it calls {target[:80]!r}, which is no operator of PyTorch's own that computes", _REMEDY)

    def _check_expression(self, text: str) -> str:
        if not is_size(text):
            raise InputError(self._path, f"one of its sizes is {text[:80]!r}, which is no sum or product of sizes", _REMEDY)
        return text

    def _refuse_object(self, _: Json) -> Json:
        raise InputError(self._path, "it holds an object of a custom class, whose library would have to be run", _REMEDY)

    def _clean_tree(self, text: str) -> str:
        protocol, tree = json.loads(text)
        return json.dumps([protocol, self._clean_node(tree)])

    def _clean_node(self, node: Json) -> Json:
        """*node* of a tree as a tuple, or where its children have names as a dictionary."""
        if node["type"] is None:
            return _LEAF
        children = [self._clean_node(child) for child in node["children_spec"]]
        names = _find_names(node["context"], len(children))
        if names is None or not (names or node["type"] in _DICTIONARIES):
            return {"type": _TUPLE, "context": "null", "children_spec": children}
        return {"type": _DICT, "context": json.dumps([self._check_name(name) for name in names]), "children_spec": children}


def _find_names(context: Json, count: int) -> list[str] | None:
    """The names of *count* children in the *context* of a tree's node: the keys of a dictionary, the fields of a model's output."""
    names = json.loads(context) if isinstance(context, str) else context
    named = isinstance(names, list) and len(names) == count and all(isinstance(name, str) for name in names)
    return names if named else None


def _require_text(text: Json) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{text!r} should be a string")
    return text


def _move_to_cpu(device: Json) -> Json:
    """A program that was exported on a GPU runs on the CPU as well; no device at all stays none."""
    return None if device is None else {"type": "cpu", "index": None}
