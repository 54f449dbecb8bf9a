"""One-node models: each operator of ONNX, in each of its versions from opset 11 on, with inputs and the right answers.

They are made from onnx's own backend tests, which have for every operator of the newest opset small models, inputs and
outputs. What a case is of is its *form*: the operator's version, the element type that it works on, and which of its
inputs are constants of the file, since converters and delegates often take an operator only where those are known.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.operator_support import Constants, Form
from edgekit_converters.probing.opsets import is_valid, list_versions, restate
from edgekit_converters.probing.trials import Trial

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnx.backend.test.case.test_case import TestCase

#: Element types in which cases are asked again: half precision, what shapes, indices and masks are made of, and quantised data.
MORE_DTYPES = ("float16", "int64", "int32", "int8", "bool")
#: Those of the cases that are asked again, the first that an operator has: dequantising has no float32.
_BASES = ("float32", "uint8")
#: The most cases of one form, and of one that is asked again in another element type.
MOST_CASES = 8
RETYPED_CASES = 1
#: The reference pools one element at a time, in Python: of larger inputs it is not asked.
_MOST_ELEMENTS = 1 << 13
#: Share of the largest value that half precision may be off, of what is added up in it.
_HALF_RTOL = 2e-2
_PLAIN_KINDS = "biuf"


@dataclass(frozen=True, kw_only=True)
class Case(Trial):
    """A trial of an operator of ONNX: a model with one node. One in int8 has the *floating* one that it was made of."""

    model: ModelProto
    floating: Case | None = None

    suffix = ".onnx"

    def encode(self) -> bytes:
        """The model as ONNX stores it."""
        return bytes(self.model.SerializeToString())


def collect_cases(operators: Iterable[str] | None = None) -> list[Case]:
    """Every case of *operators*, by their names (``Conv``, ``ai.onnx.ml.Scaler``); of all by default. The order is always the same."""
    wanted = None if operators is None else set(operators)
    read = (case for test in _list_tests() if (case := _read(test)) and (wanted is None or case.form.operator in wanted))
    originals = list(_drop_outputs(read))
    restated = _choose(case for original in originals for case in _restate_all(original))
    retyped = [case for dtype in MORE_DTYPES for case in _retype_some(restated, dtype)]
    return [case for original in (*restated, *retyped) for case in _fix_inputs(original)]


@functools.cache
def _list_tests() -> list[TestCase]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        # Some of its tests overflow on purpose, and numpy tells.
        warnings.simplefilter("ignore")
        tests: list[TestCase] = collect_testcases(None)
    # An expanded test has the operator's function body in its place, and so is of other operators.
    return [test for test in tests if "_expanded" not in test.name and len(test.model.graph.node) == 1]


def _read(test: TestCase) -> Case | None:
    """*test* as a case, all of whose inputs are given; None where its tensors are of a kind that numpy does not have."""
    graph = test.model.graph
    given, answers = test.data_sets[0]
    inputs = _to_arrays([value.name for value in graph.input], given)
    expected = _to_arrays([value.name for value in graph.output], answers)
    if inputs is None or expected is None:
        return None
    node = graph.node[0]
    opset = next((one.version for one in test.model.opset_import if one.domain == node.domain), 1)
    form = Form(operator=name_operator(node.domain, node.op_type), since=opset, dtype=_find_dtype(inputs, expected), constants="none")
    return Case(
        name=test.name.removeprefix("test_"),
        form=form,
        model=test.model,
        inputs=inputs,
        expected=expected,
        rtol=test.rtol,
        atol=test.atol,
        is_random=_is_random(node.domain, node.op_type),
    )


def name_operator(domain: str, op_type: str) -> str:
    """The operator's name, with its domain before it where that is not ONNX's own."""
    return op_type if domain in ("", "ai.onnx") else f"{domain}.{op_type}"


def _to_arrays(names: Sequence[str], values: Sequence[Any]) -> Arrays | None:
    from onnx import TensorProto, numpy_helper

    arrays = {}
    for name, value in zip(names, values, strict=True):
        plain = numpy_helper.to_array(value) if isinstance(value, TensorProto) else value
        if plain is None or isinstance(plain, list | dict):
            return None
        array = np.asarray(plain)
        if array.dtype.kind in "OSU":
            array = array.astype(str)
        # Types of other packages (bfloat16, float8) are told by this number alone.
        elif array.dtype.kind not in _PLAIN_KINDS or array.dtype.isbuiltin != 1:
            return None
        arrays[name] = array
    return arrays


def _find_dtype(inputs: Arrays, outputs: Arrays) -> str:
    first = next(iter((inputs or outputs).values()))
    return "string" if first.dtype.kind == "U" else first.dtype.name


def _is_random(domain: str, op_type: str) -> bool:
    return domain == "" and op_type in (
        "Bernoulli",
        "Dropout",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    )


def _drop_outputs(cases: Iterable[Case]) -> Iterator[Case]:
    """*cases* with their first outputs alone, as models mostly have them, and the first of each operator also with all."""
    told = set()
    for case in cases:
        plain = _keep_first_output(case)
        if plain is not None:
            yield plain
        if plain is None or case.form.operator not in told:
            yield case
        told.add(case.form.operator)


def _keep_first_output(case: Case) -> Case | None:
    """*case* without the outputs that are optional; None where it has none, or cannot do without."""
    from onnx import ModelProto, defs

    node = case.model.graph.node[0]
    formals = defs.get_schema(node.op_type, domain=node.domain).outputs
    optional = [
        name for name, formal in list(zip(node.output, formals, strict=False))[1:] if formal.option == defs.OpSchema.FormalParameterOption.Optional
    ]
    if not any(optional) or len(optional) != len(node.output) - 1 or not node.output[0]:
        return None
    model = ModelProto()
    model.CopyFrom(case.model)
    del model.graph.node[0].output[1:], model.graph.output[1:]
    expected = {node.output[0]: case.expected[node.output[0]]}
    return replace(case, name=f"{case.name}_alone", model=model, expected=expected) if is_valid(model) else None


def _restate_all(case: Case) -> Iterator[Case]:
    """*case* in each version of its operator in which it can be said."""
    node = case.model.graph.node[0]
    versions = list_versions(node.domain, node.op_type)
    mine = max((version for version in versions if version <= case.form.since), default=None)
    for version in versions:
        model = restate(case.model, version, case.inputs)
        if model is not None:
            names = {value.name for value in model.graph.input}
            inputs = {name: array for name, array in case.inputs.items() if name in names}
            form = replace_form(case.form, since=version)
            yield replace(case, form=form, model=model, inputs=inputs, is_restated=version != mine)


def replace_form(form: Form, **changes: Any) -> Form:
    """*form* with *changes*."""
    from msgspec.structs import replace as replace_record

    return replace_record(form, **changes)


def _retype_some(cases: Sequence[Case], dtype: str) -> Iterator[Case]:
    """The first of *cases* of each version that can be said in *dtype*, where none is of that type already."""
    groups = _group(cases)
    for operator, since in dict.fromkeys((operator, since) for operator, since, _ in groups):
        base = next((many for kind in _BASES if (many := groups.get((operator, since, kind)))), [])
        if (operator, since, dtype) not in groups:
            small = (one for one in base if sum(array.size for array in one.inputs.values()) <= _MOST_ELEMENTS)
            retyped = (case for one in small if (case := _retype(one, dtype)))
            yield from itertools.islice(retyped, RETYPED_CASES)


def _retype(case: Case, dtype: str) -> Case | None:
    """*case* with *dtype* in place of its own, and the answers of onnx's reference; None where the operator has no such type."""
    model, inputs = _change_types(case, np.dtype(dtype))
    expected = answer_by_reference(model, inputs)
    if not expected:
        return None
    _declare_outputs(model, expected)
    if not is_valid(model):
        return None
    half = dtype == "float16"
    form = replace_form(case.form, dtype=dtype)
    return replace(case, form=form, model=model, inputs=inputs, expected=expected, rtol=_HALF_RTOL if half else case.rtol)


def _change_types(case: Case, dtype: np.dtype[Any]) -> tuple[ModelProto, Arrays]:
    from onnx import ModelProto, defs, helper

    model = ModelProto()
    model.CopyFrom(case.model)
    node = model.graph.node[0]
    formals = defs.get_schema(node.op_type, case.form.since, node.domain).inputs
    # The last formal input stands for all that follow, where there are more.
    kinds = {name: formals[min(index, len(formals) - 1)].type_str for index, name in enumerate(node.input) if name}
    variable = kinds.get(node.input[0]) if node.input else None
    inputs = dict(case.inputs)
    for value in model.graph.input:
        array = inputs[value.name]
        if kinds.get(value.name) == variable and array.dtype.name == case.form.dtype:
            inputs[value.name] = _to_dtype(array, dtype)
            value.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(dtype)
    return model, inputs


def _to_dtype(array: Array, dtype: np.dtype[Any]) -> Array:
    # A whole number that is zero would be divided by somewhere, and that kills a process.
    scaled = np.abs(np.nan_to_num(array, posinf=0, neginf=0)) * 4 + 1 if (array.dtype.kind, dtype.kind) == ("f", "i") else array
    with np.errstate(over="ignore"):
        return scaled.astype(dtype)


def answer_by_reference(model: ModelProto, inputs: Arrays) -> Arrays | None:
    """What onnx's reference implementation answers to *inputs*; None where it has no such operator or type.

    It lacks the older versions of some operators; those are answered as newer ones, whose meaning may differ.
    """
    from onnx import ModelProto, defs

    newest = ModelProto()
    newest.CopyFrom(model)
    for one in newest.opset_import:
        one.version = one.version if one.domain else defs.onnx_opset_version()
    return _ask(model, inputs) or _ask(newest, inputs)


def _ask(model: ModelProto, inputs: Arrays) -> Arrays | None:
    from onnx.reference import ReferenceEvaluator

    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers = ReferenceEvaluator(model).run(None, inputs)
    except Exception:  # noqa: BLE001 - it is written in Python, and a type that it does not foresee fails anywhere
        return None
    return _to_arrays([value.name for value in model.graph.output], answers)


def _declare_outputs(model: ModelProto, expected: Arrays) -> None:
    from onnx import helper

    for value in model.graph.output:
        array = expected[value.name]
        if array.dtype.kind != "U":
            value.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(array.dtype)


def _fix_inputs(case: Case) -> Iterator[Case]:
    """*case* with all inputs given, with all but the first as constants, and where there are two with the first alone as one."""
    names = list(case.inputs)
    yield case
    if len(names) > 1:
        yield _make_constant(case, names[1:], "rest")
    if len(names) == 2:
        yield _make_constant(case, names[:1], "first")


def _make_constant(case: Case, names: Sequence[str], constants: Constants) -> Case:
    from onnx import ModelProto, numpy_helper

    model = ModelProto()
    model.CopyFrom(case.model)
    kept = [value for value in model.graph.input if value.name not in names]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.extend(numpy_helper.from_array(_storable(case.inputs[name]), name) for name in names)
    inputs = {name: array for name, array in case.inputs.items() if name not in names}
    return replace(case, form=replace_form(case.form, constants=constants), model=model, inputs=inputs)


def _storable(array: Array) -> Array:
    # onnx writes strings from arrays of objects alone.
    return array.astype(object) if array.dtype.kind == "U" else array


def _choose(cases: Iterable[Case]) -> list[Case]:
    """Of each form at most so many cases, spread over all that there are."""
    chosen = []
    for _, many in sorted(_group(cases).items()):
        chosen += many[:: -(-len(many) // MOST_CASES)]
    return chosen


def _group(cases: Iterable[Case]) -> dict[tuple[str, int, str], list[Case]]:
    groups: dict[tuple[str, int, str], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.form.operator, case.form.since, case.form.dtype), []).append(case)
    return groups
