"""Before anything is made: what each runtime will do with each operator of a model, by what probing found."""

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgekit.conversion import HUB, SourceModel, SourceOptions
from edgekit.errors import DeviceError, UnknownName
from edgekit.operator_support import INT8, STATES, UNPROBED, Form, Judgement, OperatorUse, State, SupportTable, find_table, judge_operator, worst
from edgekit.plugins import OPERATORS, RUNTIMES, find_plugins, load_plugin
from edgekit.records import Record
from edgekit.reference import load_source
from edgekit.runtimes.base import Runtime
from edgekit.target_profiles import TargetProfile, find_profile

#: Runtimes that profiles call by their package.
_PACKAGES = {"ai-edge-litert": "litert"}
#: The newest version of a package of which only the first numbers are said.
_VERSION = re.compile(r"\d+(?:\.\d+)*")


class OperatorKnowledge(Protocol):
    """What a plug-in of the group ``edgekit.operators`` brings."""

    def list_tables(self) -> tuple[SupportTable, ...]:
        """What was probed, a table for each runtime and version."""
        ...

    def list_uses(self, path: Path, dialect: str) -> tuple[OperatorUse, ...]:
        """The operators of the model at *path*, which is written in *dialect*."""
        ...


class OperatorRow(Record, frozen=True, kw_only=True):
    """One operator of the model and what a runtime does with it, as it stands there and in int8 where that can be asked."""

    form: Form
    count: int
    judgement: Judgement
    int8: Judgement | None = None


class RuntimeReport(Record, frozen=True, kw_only=True):
    """What one runtime does with the model.

    *version* is the one that was asked about, None where the runtime is not here, and *probed* the one that the table is
    of, None where there is none. *dialect* is the form that the model goes in. *state* is that of its worst operator,
    and *reason* says why where no operator does. *machine* is the architecture that was probed.
    """

    runtime: str
    version: str | None
    probed: str | None
    machine: str | None = None
    dialect: str
    state: State
    reason: str = ""
    counts: dict[str, int] = {}
    operators: tuple[OperatorRow, ...] = ()

    @property
    def name(self) -> str:
        """The runtime with the version that was probed, or asked about."""
        return f"{self.runtime} {self.probed or self.version or ''}".rstrip()


class Preflight(Record, frozen=True, kw_only=True):
    """What every runtime that was asked about does with the model at *path*."""

    path: str
    format: str
    target: str | None = None
    runtimes: tuple[RuntimeReport, ...]

    @property
    def holding(self) -> tuple[str, ...]:
        """The runtimes that do not refuse it."""
        return tuple(report.name for report in self.runtimes if report.state != "refused")


@dataclass(frozen=True)
class _Question:
    """A runtime that is asked about, in the version that is there, with the newest opset that its class of devices reads."""

    runtime: str
    version: str | None
    opset: int | None = None


def check_model(path: Path, options: SourceOptions, runtimes: Sequence[str] = (), target: str | None = None) -> Preflight:
    """What *runtimes*, those of the profile *target*, or else all that are known do with the model at *path*.

    Raises:
        InputError: the model cannot be read, or no such runtime or target is known.
        DeviceError: nothing that knows operators is installed.
    """
    knowledge = _find_knowledge()
    tables = [table for one in knowledge for table in one.list_tables()]
    questions = _ask_profile(find_profile(target)) if target else _ask_here(tables)
    known = [question.runtime for question in questions]
    for name in runtimes:
        if name not in known:
            raise UnknownName("runtime", name, known)
    questions = [question for question in questions if not runtimes or question.runtime in runtimes]
    with tempfile.TemporaryDirectory(prefix="edgekit-") as workspace:
        model = load_source(path, Path(workspace), options)
        reports = [_answer(question, model, knowledge[0], tables) for question in questions]
    # Two versions of a runtime may have the same table below them.
    different = {report.name: report for report in reports}
    return Preflight(path=str(path), format=model.format, target=target, runtimes=tuple(different.values()))


def _find_knowledge() -> list[OperatorKnowledge]:
    """Every plug-in that knows operators, one at least."""
    found: list[OperatorKnowledge] = [load_plugin(OPERATORS, name)() for name in find_plugins(OPERATORS)]
    if not found:
        raise DeviceError("preflight", "nothing that knows operators is installed", "Install the converters: pip install 'edgekit[convert]'.")
    return found


def _ask_here(tables: Iterable[SupportTable]) -> list[_Question]:
    """Every runtime that was probed, in the version that is installed."""
    return [_Question(name, _find_version(name)) for name in dict.fromkeys(table.runtime for table in tables)]


def _find_version(name: str) -> str | None:
    if name not in find_plugins(RUNTIMES):
        return None
    runtime: Runtime = load_plugin(RUNTIMES, name)()
    return runtime.find_version()


def _ask_profile(profile: TargetProfile) -> list[_Question]:
    """Every runtime of *profile*, in the oldest and the newest version that it is known to run."""
    ends = {_PACKAGES.get(package, package): _VERSION.findall(versions) for package, versions in profile.runtimes.items()}
    return [_Question(name, version, profile.opset) for name, versions in ends.items() for version in dict.fromkeys(versions) or (None,)]


def _answer(question: _Question, model: SourceModel, knowledge: OperatorKnowledge, tables: Sequence[SupportTable]) -> RuntimeReport:
    forms = _list_forms(question.runtime)
    dialect = next((name for name in forms if name in model.forms), None)
    if dialect is None:
        told = "; ".join(f"{name}: {model.absent.get(name, f'a source in {model.format} has no such form')}" for name in forms)
        return RuntimeReport(runtime=question.runtime, version=question.version, probed=None, dialect=forms[0], state="refused", reason=told)
    table = find_table(tables, question.runtime, dialect, question.version)
    # What is made from the hub has operators of its own, and no opset of ONNX.
    opset = question.opset if forms[0] == HUB else None
    rows = [_judge(use, table, opset) for use in knowledge.list_uses(model.forms[dialect], dialect)]
    counts = Counter({state: sum(row.count for row in rows if row.judgement.state == state) for state in STATES})
    return RuntimeReport(
        runtime=question.runtime,
        version=question.version,
        probed=None if table is None else table.version,
        machine=None if table is None else table.machine,
        dialect=dialect,
        state=worst([row.judgement for row in rows]),
        reason=UNPROBED if table is None else "",
        counts={state: count for state, count in counts.items() if count},
        operators=tuple(rows),
    )


def _list_forms(runtime: str) -> tuple[str, ...]:
    """The forms in which a model gets to *runtime*, the most direct first: its own format, and the hub, from which that is made."""
    own: tuple[str, ...] = load_plugin(RUNTIMES, runtime)().formats if runtime in find_plugins(RUNTIMES) else ()
    return tuple(dict.fromkeys((*own, HUB)))


def _judge(use: OperatorUse, table: SupportTable | None, opset: int | None) -> OperatorRow:
    judgement = judge_operator(use, table, opset)
    form = use.form
    if form.dtype != "float32" or form.is_quantised:
        return OperatorRow(form=form, count=use.count, judgement=judgement)
    asked = Form(operator=form.operator, since=form.since, dtype=INT8, constants=form.constants, is_quantised=True)
    int8 = judge_operator(OperatorUse(form=asked, count=use.count, versions=use.versions), table, opset)
    return OperatorRow(form=form, count=use.count, judgement=judgement, int8=int8)
