"""Versions of an operator, and a one-node model said in another version than its own."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgekit.arrays import Arrays
from edgekit_converters.onnx_files import MIN_OPSET

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto
    from onnx.defs import OpSchema

#: The oldest IR version in which constants need not be inputs too, and that every runtime of today reads.
_OLDEST_IR = 8


@functools.cache
def list_versions(domain: str, op_type: str) -> tuple[int, ...]:
    """The versions of an operator that a model of opset 11 or newer may mean, oldest first; none where onnx does not know it."""
    from onnx import defs

    mine = "" if domain == "ai.onnx" else domain
    found = sorted(one.since_version for one in _list_schemas() if (one.domain, one.name) == (mine, op_type) and not one.deprecated)
    if mine != defs.ONNX_DOMAIN:
        return tuple(found)
    # At opset 11 the newest version up to there is in force.
    first = max((version for version in found if version <= MIN_OPSET), default=None)
    return tuple(version for version in found if version > MIN_OPSET or version == first)


@functools.cache
def _list_schemas() -> list[OpSchema]:
    from onnx import defs

    schemas: list[OpSchema] = defs.get_all_schemas_with_history()
    return schemas


def restate(model: ModelProto, version: int, values: Arrays) -> ModelProto | None:
    """The one-node *model* in the *version* of its operator; None where it cannot be said so.

    What is an input now and was an attribute then (``axes``, ``split``) becomes one, with the value among *values*.
    """
    from onnx import ModelProto, defs, helper

    stated = ModelProto()
    stated.CopyFrom(model)
    node = stated.graph.node[0]
    opset = version if node.domain else max(version, MIN_OPSET)
    del stated.opset_import[:]
    stated.opset_import.append(helper.make_opsetid(node.domain, opset))
    if node.domain:
        stated.opset_import.append(helper.make_opsetid("", 21))
    schema = defs.get_schema(node.op_type, version, node.domain)
    formals = defs.get_schema(node.op_type, domain=node.domain).inputs
    _move_to_attributes(stated, node, schema, [formal.name for formal in formals], values)
    stated.ir_version = max(_OLDEST_IR, helper.find_min_ir_version_for(stated.opset_import, ignore_unknown=True))
    return stated if is_valid(stated) else None


def _move_to_attributes(model: ModelProto, node: NodeProto, schema: OpSchema, formals: Sequence[str], values: Arrays) -> None:
    """Make attributes of those inputs of *node*, called *formals* in its newest version, that *schema* has as attributes."""
    from onnx import helper

    moved = [(name, formal) for name, formal in zip(node.input, formals, strict=False) if name in values and formal in schema.attributes]
    for name, formal in moved:
        kind = schema.attributes[formal].type
        value = values[name].tolist()
        # Where an attribute is one number, the input that took its place is a tensor of one.
        plain = values[name].reshape(-1)[0].item() if kind in (kind.INT, kind.FLOAT) and values[name].size == 1 else value
        node.attribute.append(helper.make_attribute(formal, plain, attr_type=kind.value))
    gone = {name for name, _ in moved}
    inputs = ["" if name in gone else name for name in node.input]
    while inputs and not inputs[-1]:
        inputs.pop()
    kept = [value for value in model.graph.input if value.name not in gone]
    for field, items in ((node.input, inputs), (model.graph.input, kept)):
        del field[:]
        field.extend(items)


def is_valid(model: ModelProto) -> bool:
    """Whether onnx's checker passes *model*, types and shapes included."""
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return False
    return True
