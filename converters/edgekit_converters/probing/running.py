"""A whole probing: every case through one prober, kept case by case, so that one that was interrupted goes on where it was."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from edgekit.operator_support import Judgement, SupportTable
from edgekit.records import Record
from edgekit_converters.probing.cases import Case
from edgekit_converters.probing.prober import Prober
from edgekit_converters.probing.tables import Verdict, make_findings

#: Called with how many cases are done, and how many there are.
Show = Callable[[int, int], None]


class _Entry(Record, frozen=True, kw_only=True):
    """A line of the journal: the case's id, and the judgement, None where it proved nothing."""

    id: str
    judgement: Judgement | None


def probe_cases(prober: Prober, cases: Sequence[Case], journal: Path, show: Show) -> SupportTable:
    """The table of what *prober* finds with *cases*. *journal* is a directory for what is done, and is left as it was found."""
    version, tools = prober.find_version(), prober.list_tools()
    named = "-".join([prober.runtime, prober.dialect, version, *(f"{name}-{one}" for name, one in tools.items())])
    path = journal / f"{named}.jsonl"
    journal.mkdir(parents=True, exist_ok=True)
    done = {entry.id: entry for entry in _read(path)}
    verdicts = []
    with prober, path.open("ab") as file:
        for index, case in enumerate(cases):
            show(index, len(cases))
            entry = done.get(case.id) or _Entry(id=case.id, judgement=prober.probe(case))
            if entry.judgement is not None:
                verdicts.append(Verdict(case.form, entry.judgement, is_restated=case.is_restated))
            if case.id not in done:
                file.write(entry.encode() + b"\n")
                file.flush()
    path.unlink()
    return SupportTable(
        runtime=prober.runtime,
        version=version,
        dialect=prober.dialect,
        tools=tools,
        machine=platform.machine(),
        operators=make_findings(verdicts),
    )


def _read(path: Path) -> Iterator[_Entry]:
    """The entries of a journal, without a last line that was not written to its end."""
    if not path.exists():
        return
    whole = path.read_bytes().rpartition(b"\n")[0]
    path.write_bytes(whole + b"\n" if whole else b"")
    yield from (msgspec.json.decode(line, type=_Entry) for line in whole.splitlines())
