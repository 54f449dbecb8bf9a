"""Support tables: many verdicts on cases become few findings on operators, and a file that changes where a runtime does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from edgekit.files import write_file
from edgekit.operator_support import Finding, Form, Judgement, State, SupportTable

FOLDER = Path(__file__).parents[1] / "operator_support"
_FROM_BEST: tuple[State, ...] = ("native", "fallback", "refused", "unknown")


@dataclass(frozen=True)
class Verdict:
    """What became of one model. One that *is_restated* was written in words of another version than its own."""

    form: Form
    judgement: Judgement
    is_restated: bool = False


def make_findings(verdicts: Iterable[Verdict]) -> dict[str, tuple[Finding, ...]]:
    """What *verdicts*, each on one model, say of every operator."""
    by_form: dict[Form, list[Verdict]] = {}
    for verdict in verdicts:
        by_form.setdefault(verdict.form, []).append(verdict)
    by_operator: dict[str, list[Finding]] = {}
    for form, found in by_form.items():
        by_operator.setdefault(form.operator, []).append(_summarise(form, _keep_sound(found)))
    return {name: _merge(found) for name, found in sorted(by_operator.items())}


def _keep_sound(verdicts: Sequence[Verdict]) -> list[Judgement]:
    """The judgements that prove something: where one model of a restated form runs, those that are refused may say what it cannot."""
    runs = any(one.judgement.state != "refused" for one in verdicts)
    return [one.judgement for one in verdicts if not (runs and one.is_restated and one.judgement.state == "refused")]


def _summarise(form: Form, judgements: Sequence[Judgement]) -> Finding:
    """The state that most of *judgements* have, the worse of two where they are as many, and the worst one's reason."""
    counts = Counter(one.state for one in judgements)
    state = max(counts, key=lambda one: (counts[one], _FROM_BEST.index(one)))
    worst = max(judgements, key=lambda one: _FROM_BEST.index(one.state))
    return Finding(
        since=(form.since,),
        dtypes=(form.dtype,),
        constants=(form.constants,),
        is_quantised=form.is_quantised,
        state=state,
        agreeing=counts[state],
        cases=len(judgements),
        reason=worst.reason,
    )


def _merge(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """*findings* with those joined that say the same of several constants, versions or element types."""
    merged = list(findings)
    for field in ("constants", "since", "dtypes"):
        groups: dict[Any, list[Finding]] = {}
        for finding in merged:
            groups.setdefault(_find_key(finding, field), []).append(finding)
        merged = [_join(group, field) for group in groups.values()]
    return tuple(sorted(merged, key=lambda one: (one.is_quantised, -max(one.since), one.dtypes, one.constants)))


def _find_key(finding: Finding, field: str) -> tuple[Any, ...]:
    counts = () if finding.agreeing == finding.cases else (finding.agreeing, finding.cases)
    others = tuple(getattr(finding, name) for name in ("since", "dtypes", "constants") if name != field)
    return (others, counts, finding.state, finding.reason, finding.is_quantised)


def _join(group: Sequence[Finding], field: str) -> Finding:
    values = sorted({value for one in group for value in getattr(one, field)})
    mixed = group[0].agreeing != group[0].cases
    cases, agreeing = (group[0].cases, group[0].agreeing) if mixed else (sum(one.cases for one in group),) * 2
    return replace(group[0], **{field: tuple(values)}, cases=cases, agreeing=agreeing)


def name_file(table: SupportTable) -> str:
    """The file that *table* is kept in."""
    through = "" if table.dialect == "onnx" else f"-{table.dialect}"
    return f"{table.runtime}{through}-{table.version}.json"


def write_table(table: SupportTable, folder: Path) -> Path:
    """Write *table* into *folder*, an operator a line, so that a diff shows what has changed; the file's path."""
    head: Mapping[str, Any] = {name: getattr(table, name) for name in ("runtime", "version", "dialect", "tools", "machine")}
    lines = [f"  {_dump(name)}: {_dump(found)}" for name, found in table.operators.items()]
    text = f'{_dump(head)[:-1]},"operators":{{\n' + ",\n".join(lines) + "\n}}\n"
    path = folder / name_file(table)
    write_file(path, text.encode())
    return path


def _dump(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def read_tables(folder: Path = FOLDER) -> tuple[SupportTable, ...]:
    """Every table in *folder*, by the name of its file."""
    return tuple(SupportTable.decode(path.read_bytes(), str(path)) for path in sorted(folder.glob("*.json")))
