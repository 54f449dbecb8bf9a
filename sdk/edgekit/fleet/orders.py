"""What people ask of rollouts and what they are answered: the records that the command line and the server share. Pure."""

import re
from typing import Annotated

from msgspec import Meta

from edgekit.deployment import State, TrialTerms
from edgekit.errors import InputError
from edgekit.records import Digest, Length, Name, Record, Share
from edgekit.rollout import Rollout, Standing, parse_phases
from edgekit.selection import MAX_LENGTH

#: What is written where nothing is said: one of each class, then 5, 25 and 100 %.
PHASES = "canary,5%,25%,100%"


class RolloutRequest(Record, frozen=True, kw_only=True):
    """*release* (``digits@1.1.0``) to the devices that *select* names, in *phases* as the command line writes them.

    An empty *select* means every device of the fleet, and then *everybody* must be true: that is asked for, not slipped into.
    """

    release: Annotated[str, Meta(max_length=160)]
    select: Annotated[str, Meta(max_length=MAX_LENGTH)] = ""
    everybody: bool = False
    phases: Annotated[str, Meta(max_length=200)] = PHASES
    error_threshold: Share = 0.05
    trial: TrialTerms = TrialTerms()

    def make_rollout(self, token: str, digest: str, now_ms: int) -> Rollout:
        """The rollout that is asked for, of the release whose manifest has *digest*; *token* tells it from others of that release."""
        return Rollout(
            id=name_rollout(self.release, token),
            model=self.release.partition("@")[0],
            release=self.release,
            digest=digest,
            select=self.select,
            phases=parse_phases(self.phases),
            error_threshold=self.error_threshold,
            trial=self.trial,
            created_ms=now_ms,
        )


def name_rollout(release: str, token: str) -> str:
    """An id that says of which release it is: ``digits-1-1-0-3f9a2c``; names have no dots (`edgekit.records.Name`)."""
    return f"{re.sub('[^A-Za-z0-9]+', '-', release)[:40].strip('-')}-{token}"


class PlannedPhase(Record, frozen=True, kw_only=True):
    """One phase, as it was written, and the devices that it adds if all goes well."""

    phase: str
    devices: tuple[Name, ...] = ()


class Download(Record, frozen=True, kw_only=True):
    """What a device fetches that chooses *variant*: *length* bytes in all, the golden samples among them."""

    variant: Name
    format: Name
    precision: Name
    length: Length


class RolloutPlan(Record, frozen=True, kw_only=True):
    """What a rollout would do: its phases, the devices that are absent, who is in its way, and what is downloaded."""

    release: str
    model: Name
    digest: Digest
    select: str = ""
    phases: tuple[PlannedPhase, ...] = ()
    absent: tuple[Name, ...] = ()
    conflicts: tuple[str, ...] = ()
    downloads: tuple[Download, ...] = ()


class RolloutDetails(Record, frozen=True, kw_only=True):
    """A rollout, and how each device that it selects stands with it. *returns* are the states of the deployments that take it back."""

    rollout: Rollout
    standings: tuple[Standing, ...] = ()
    returns: dict[str, State] = {}


class ModelExplanation(Record, frozen=True, kw_only=True):
    """Why *model* is where it is on one device: one sentence."""

    model: Name
    text: str


class DeviceExplanation(Record, frozen=True, kw_only=True):
    """The same for every model of *device*."""

    device: Name
    models: tuple[ModelExplanation, ...] = ()


class RolloutConflict(InputError):
    """Two rollouts at once would tell one device two things."""

    def __init__(self, release: str, other: Rollout, devices: tuple[str, ...]) -> None:
        named = ", ".join(devices[:3]) + (f" and {len(devices) - 3} more" if len(devices) > 3 else "")
        super().__init__(
            f"rollout of {release}",
            f"rollout {other.id} of {other.release} is {other.state.value} and selects {named} too",
            f"Wait until it has ended (edgekit rollout watch {other.id}), abort it, or select other devices.",
        )


class NobodySelected(InputError):
    """A rollout to nobody."""

    def __init__(self, select: str) -> None:
        subject = f"selection {select!r}" if select else "fleet"
        super().__init__(subject, "no device is in it", "See edgekit device list; a device is known once its agent has reported.")


class EverybodyUnasked(InputError):
    """A rollout to everybody that nobody said was meant for everybody."""

    def __init__(self, devices: int) -> None:
        super().__init__(
            "rollout to everybody",
            f"without a selection it reaches all {devices} devices",
            "Say --yes (in the API: everybody), or select some: --select class=raspberry-pi-4.",
        )
