"""The reference page of all support tables: for each operator what each runtime does with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from edgekit.files import write_file
from edgekit.operator_support import Finding, State, SupportTable

_HEAD = """# Operators

What each runtime does with each operator. Nothing here was typed: `python -m edgekit_converters.probing` runs onnx's one-node
models in the runtimes that are installed, in float32 and other element types, with constants and without, and between Q and DQ
for int8. `edgekit preflight MODEL` applies the same tables to a model.

- **native**: the runtime's own optimised kernel runs it.
- **fallback**: something slower does: a function body, casts, a reference implementation, a kernel outside of the delegate.
- **refused**: it does not load or run, or gives wrong answers.
- **mixed**: it depends on the version, the element type, or on which inputs are constants; `edgekit preflight` tells for a model.
- **unknown**: not probed. TensorRT was not probed at all.
- **mostly**: of the probed models with several attributes some fared worse.

Constants: whether *none* of the inputs is a constant of the file, the *first* alone, or the *rest*, all but the first.

Each cell is about float32 (or, where an operator has no float32, its other types) in the newest version that was probed; behind
the stroke about int8 between Q and DQ.
"""
_ORDER: tuple[State, ...] = ("native", "fallback", "refused", "unknown")


def write_reference(tables: Sequence[SupportTable], path: Path) -> None:
    """Write the page of *tables* to *path*."""
    write_file(path, describe_tables(tables).encode())


def describe_tables(tables: Sequence[SupportTable]) -> str:
    """The page of *tables*, in Markdown: a part for each dialect, with a table of operators and the reasons below it."""
    dialects = sorted({table.dialect for table in tables})
    return _HEAD + "".join(_describe_dialect(name, [table for table in tables if table.dialect == name]) for name in dialects)


def _describe_dialect(dialect: str, tables: Sequence[SupportTable]) -> str:
    names = sorted({name for table in tables for name in table.operators})
    rows = [[name, *(_describe_cell(table.operators.get(name, ())) for table in tables)] for name in names]
    heads = ["operator", *(f"{table.runtime} {table.version}" for table in tables)]
    lines = ["| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows)]
    tools = "; ".join(f"{table.runtime} {table.version} with {_list_tools(table)} on {table.machine}" for table in tables)
    return f"\n## {dialect}\n\n{tools}.\n\n" + "\n".join(lines) + "\n\n" + "".join(map(_describe_reasons, tables))


def _list_tools(table: SupportTable) -> str:
    return ", ".join(f"{name} {version}" for name, version in table.tools.items())


def _describe_cell(findings: Iterable[Finding]) -> str:
    plain = [one for one in findings if not one.is_quantised]
    newest = max((version for one in plain for version in one.since), default=0)
    floats = [one for one in plain if "float32" in one.dtypes] or plain
    cells = [_join_states([one for one in floats if newest in one.since] or floats), _join_states([one for one in findings if one.is_quantised])]
    return " / ".join(cells) if cells[1] != "unknown" else cells[0]


def _join_states(findings: Sequence[Finding]) -> str:
    states = sorted({one.state for one in findings}, key=_ORDER.index)
    if not states:
        return "unknown"
    mixed = len(states) > 1 or any(one.agreeing != one.cases for one in findings)
    return f"mixed ({', '.join(states)})" if len(states) > 1 else f"{states[0]}{', mostly' if mixed else ''}"


def _describe_reasons(table: SupportTable) -> str:
    """What *table*'s runtime says of those operators that it refuses in float32: each reason with its operators."""
    by_reason: dict[str, list[str]] = {}
    for name, findings in table.operators.items():
        floats = [one for one in findings if "float32" in one.dtypes and not one.is_quantised]
        for one in floats:
            if one.state == "refused":
                by_reason.setdefault(one.reason, []).append(_name_form(name, one, floats))
    if not by_reason:
        return ""
    lines = [f"- {', '.join(names)}: {_escape(reason)}" for reason, names in sorted(by_reason.items(), key=lambda item: item[1])]
    return f"### What {table.runtime} {table.version} refuses in float32\n\n" + "\n".join(lines) + "\n\n"


def _name_form(name: str, finding: Finding, all_of_it: Sequence[Finding]) -> str:
    """*name*, with its versions and constants where other forms of the operator run."""
    if all(one.state == "refused" for one in all_of_it):
        return name
    return f"{name} {', '.join(map(str, finding.since))} (constants: {', '.join(finding.constants)})"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
