"""Everything that edgekit refuses to do, named by who must act on it.

Each message names the thing, says what is wrong with it and what to do next. Only the command line
turns these classes into exit codes, and only an HTTP API turns them into statuses.
"""

# Paths are only named here, and importing pathlib would be a tenth of the time that ``edgekit --help`` takes.
from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class EdgekitError(Exception):
    """The root of all refusals: *subject* is the thing, *problem* what is wrong, *remedy* the next step."""

    def __init__(self, subject: str | Path, problem: str, remedy: str = "") -> None:
        self.subject = str(subject)
        self.problem = problem.rstrip(".")
        self.remedy = remedy.strip()
        super().__init__(f"{self.subject}: {self.problem}. {self.remedy}".rstrip())


class InputError(EdgekitError):
    """The caller gave something that cannot be used."""


class SchemaTooNew(InputError):
    """A record was written by a newer edgekit than this one."""

    def __init__(self, subject: str | Path, found: int, supported: int) -> None:
        super().__init__(
            subject,
            f"it has schema {found}, and this edgekit reads up to schema {supported}",
            "Update edgekit on this machine: pip install --upgrade edgekit.",
        )


class UnknownName(InputError):
    """A name that is not in the list of known ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        listed = ", ".join(sorted(known)) or "none"
        super().__init__(f"{kind} {name!r}", f"there is no such {kind}", f"Known here: {listed}.")


class ConversionError(EdgekitError):
    """The model cannot be made into what was asked for."""


class GateRefused(EdgekitError):
    """What was made does not meet its bound."""


class ParityError(GateRefused):
    """A variant does not give the source model's answers on the golden samples."""

    def __init__(self, subject: str | Path, deviations: Iterable[str], remedy: str = "") -> None:
        found = "; ".join(deviations)
        super().__init__(subject, f"its answers to the golden samples are not the source model's: {found}", remedy)


class RawParityError(ParityError):
    """A contract does not make of the golden raw items, or of the answers to them, what was recorded when the bundle was made."""

    def __init__(self, subject: str | Path, deviations: Iterable[str], remedy: str = "") -> None:
        GateRefused.__init__(self, subject, f"the golden raw items do not become what was recorded: {'; '.join(deviations)}", remedy)


class TrustError(EdgekitError):
    """A digest or a signature is wrong: nobody may go on."""


class DigestMismatch(TrustError):
    """Bytes are not those that the manifest names."""

    def __init__(self, subject: str | Path, expected: str, found: str) -> None:
        super().__init__(
            subject,
            f"its digest is {found}, and {expected} was expected: the bytes have changed",
            "Fetch or build it again from a source that you trust; nothing was used of it.",
        )


class MetadataExpired(TrustError):
    """What was signed was good for a time, and that has passed: something newer may have been held back."""


class EndlessData(TrustError):
    """A source sends more than what was signed for (TUF, "endless data attack")."""

    def __init__(self, subject: str | Path, limit: int) -> None:
        super().__init__(
            subject,
            f"more than the {limit} bytes that it may have were sent",
            "Fetch it from a source that you trust; nothing was used of it.",
        )


class TransferError(EdgekitError):
    """The other side cannot be reached just now: time may mend it."""


class SourceMissing(TransferError):
    """The other side answers, and does not have what was asked for."""

    def __init__(self, subject: str | Path, reason: str) -> None:
        super().__init__(subject, f"it is not there ({reason})", "Check the address; if it is right, publish again, which adds what is missing.")


class DeviceError(EdgekitError):
    """This machine lacks something: a runtime, a free port, room on its disk."""


class WireError(EdgekitError):
    """The other end sent bytes that break the protocol."""
