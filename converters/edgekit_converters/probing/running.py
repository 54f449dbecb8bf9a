"""A whole probing: every trial through one prober, kept one by one, so that one that was interrupted goes on where it was."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from edgekit.locks import holding_lock
from edgekit.operator_support import Judgement, SupportTable
from edgekit.records import Record
from edgekit_converters.probing.prober import Prober
from edgekit_converters.probing.tables import Verdict, make_findings
from edgekit_converters.probing.trials import Trial

#: Called with how many trials are done, and how many there are.
Show = Callable[[int, int], None]


T = TypeVar("T", bound=Trial)


class _Entry(Record, frozen=True, kw_only=True):
    """A line of the journal: the trial's id, and the judgement, None where it proved nothing."""

    id: str
    judgement: Judgement | None


def probe_trials(prober: Prober[T], trials: Sequence[T], journal: Path, show: Show) -> SupportTable:
    """The table of what *prober* finds with *trials*. *journal* is a directory for what is done, and is left as it was found, but for a lock.

    Raises:
        DeviceError: the runtime is not installed, or another process is at the same probing.
    """
    version, tools = prober.find_version(), prober.list_tools()
    path = journal / f"{prober.runtime}-{prober.dialect}-{version}-{_digest(tools, trials)}.jsonl"
    journal.mkdir(parents=True, exist_ok=True)
    with holding_lock(path.with_suffix(".lock")):
        verdicts = list(_judge_all(prober, trials, path, show))
        path.unlink()
    return SupportTable(
        runtime=prober.runtime,
        version=version,
        dialect=prober.dialect,
        tools=tools,
        machine=platform.machine(),
        operators=make_findings(verdicts),
    )


def _judge_all(prober: Prober[T], trials: Sequence[T], path: Path, show: Show) -> Iterator[Verdict]:
    """What becomes of each of *trials*: as the journal at *path* has it, or found now and written there."""
    done = {entry.id: entry for entry in _read(path)}
    with prober, path.open("ab") as file:
        for index, trial in enumerate(trials):
            show(index, len(trials))
            entry = done.get(trial.id)
            if entry is None:
                entry = _Entry(id=trial.id, judgement=prober.probe(trial))
                file.write(entry.encode() + b"\n")
                file.flush()
            if entry.judgement is not None:
                yield Verdict(trial.form, entry.judgement, is_restated=trial.is_restated)


def _digest(tools: Mapping[str, str], trials: Sequence[Trial]) -> str:
    """What tells one probing from another of the same runtime, so that neither takes the other's journal."""
    told = "\n".join([*(f"{name} {version}" for name, version in tools.items()), *(trial.id for trial in trials)])
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _read(path: Path) -> Iterator[_Entry]:
    """The entries of a journal, without a last line that was not written to its end."""
    if not path.exists():
        return
    whole = path.read_bytes().rpartition(b"\n")[0]
    path.write_bytes(whole + b"\n" if whole else b"")
    yield from (msgspec.json.decode(line, type=_Entry) for line in whole.splitlines())
