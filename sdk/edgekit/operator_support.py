"""What a runtime does with each operator, as probing found it, and what that means for the operators of one model.

Nothing here is known by heart: a table is written by running one-node models, and an operator, a version of it or an
element type that was not probed is unknown.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from msgspec import Meta
from msgspec.structs import replace

from edgekit.records import Record

#: The runtime's own kernel runs it; something else does, more slowly; nothing does; nobody has tried.
State = Literal["native", "fallback", "refused", "unknown"]
#: Which inputs are constants of the file: none, all but the first, or the first alone.
Constants = Literal["none", "rest", "first"]

#: From the best to the worst that can happen to an operator.
STATES: tuple[State, ...] = ("native", "fallback", "refused", "unknown")
#: The element type of an operator between quantising and dequantising ones.
INT8 = "int8"
#: What is said of a runtime of which there is no table for its version or an older one.
UNPROBED = "no version of it up to this one was probed with such operators"


class Form(Record, frozen=True, kw_only=True):
    """An operator as it stands in a model: its name, the version that the model means, its element type, its constants.

    *operator* has its domain before it where that is not ONNX's own. *dtype* is the type of its first input, or of its
    output where it has none. *is_quantised* says that it stands between dequantising and quantising operators.
    """

    operator: str
    since: Annotated[int, Meta(ge=1)]
    dtype: str
    constants: Constants = "none"
    is_quantised: bool = False


class OperatorUse(Record, frozen=True, kw_only=True):
    """An operator of a model: its form, how often it stands there, and all versions that there are of it, oldest first."""

    form: Form
    count: Annotated[int, Meta(ge=1)] = 1
    versions: tuple[int, ...] = ()


class Finding(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What one runtime did with some forms of an operator: every combination of *since*, *dtypes* and *constants*.

    *agreeing* of *cases* one-node models ended in *state*; *reason* is that of the first that ended worse than native.
    """

    since: tuple[int, ...]
    dtypes: tuple[str, ...]
    constants: tuple[Constants, ...]
    is_quantised: bool = False
    state: State
    agreeing: Annotated[int, Meta(ge=1)]
    cases: Annotated[int, Meta(ge=1)]
    reason: str = ""

    def covers(self, form: Form) -> bool:
        """Whether it is of *form*'s version, element type and constants."""
        exact = form.since in self.since and form.constants in self.constants
        return exact and self.is_quantised == form.is_quantised and form.dtype in self.dtypes


class SupportTable(Record, frozen=True, kw_only=True):
    """What probing found of one *version* of *runtime*, by operator.

    *dialect* is the set of operators (``onnx``, ``tflite``), and *tools* the packages that took part, with their versions:
    onnx, whose models they were, and the converter where the runtime does not read them itself.
    """

    runtime: str
    version: str
    dialect: str
    tools: dict[str, str]
    machine: str
    operators: dict[str, tuple[Finding, ...]]


class Judgement(Record, frozen=True, kw_only=True):
    """What a runtime will do with one operator of a model. *reason* says why it is not native."""

    state: State
    reason: str = ""


def find_table(tables: Iterable[SupportTable], runtime: str, dialect: str, version: str | None) -> SupportTable | None:
    """The table of the newest version up to *version*, or of the newest where that is None; None where there is none."""
    mine = [table for table in tables if (table.runtime, table.dialect) == (runtime, dialect)]
    fitting = [table for table in mine if version is None or _is_up_to(table.version, version)]
    return max(fitting, key=lambda table: _split(table.version), default=None)


def _is_up_to(version: str, limit: str) -> bool:
    """Whether *version* is *limit* or older; 1.17.3 is, of 1.17."""
    numbers = _split(limit)
    return _split(version)[: len(numbers)] <= numbers


def _split(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def judge_operator(use: OperatorUse, table: SupportTable | None, opset: int | None = None) -> Judgement:
    """What *table*'s runtime does with *use*, where files may have *opset* at most.

    An operator that came later than *opset* is refused; one that is only newer there is judged in the version of *opset*.
    """
    if table is None:
        return Judgement(state="unknown", reason=UNPROBED)
    form = use.form
    if opset is not None and "." not in form.operator and form.since > opset:
        older = [version for version in use.versions if version <= opset]
        if not older:
            return Judgement(
                state="refused", reason=f"it came with opset {min(use.versions, default=form.since)}, and opset {opset} is the newest there"
            )
        form = replace(form, since=older[-1])
    # What needs no constants does as well where some are.
    either = (form, replace(form, constants="none"))
    found = (finding for one in either for finding in table.operators.get(form.operator, ()) if finding.covers(one))
    finding = next(found, None)
    return _tell_unprobed(form, table) if finding is None else _tell(finding)


def _tell(finding: Finding) -> Judgement:
    if finding.agreeing == finding.cases:
        return Judgement(state=finding.state, reason=finding.reason)
    some = f"{finding.agreeing} of {finding.cases} probed models are {finding.state}; of the others: {finding.reason}"
    return Judgement(state=finding.state, reason=some)


def _tell_unprobed(form: Form, table: SupportTable) -> Judgement:
    if form.operator not in table.operators:
        return Judgement(state="unknown", reason="it was not probed")
    kind = f"{INT8} between Q and DQ" if form.is_quantised else form.dtype
    return Judgement(state="unknown", reason=f"version {form.since} was not probed for {kind} with constants: {form.constants}")


def worst(judgements: Sequence[Judgement]) -> State:
    """The worst state of *judgements*; native where there are none. What is refused is worse than what is unknown."""
    order: tuple[State, ...] = ("native", "fallback", "unknown", "refused")
    return max((one.state for one in judgements), key=order.index, default="native")
