"""What people ask of rollouts: plan, start, pause, resume, abort, roll back, and why a device is where it is.

Each order is one transaction. What follows from it is the coordinator's work, which is woken.
"""

import re
import secrets
from collections.abc import Callable, Sequence

from securesystemslib.signer import Signer
from sqlalchemy.engine import Connection

from edgekit.errors import InputError
from edgekit.fleet.directing import carry_out
from edgekit.fleet.explaining import explain_models
from edgekit.fleet.release_reader import ReleaseReader
from edgekit.fleet.store.database import Store
from edgekit.fleet.store.events import append_event
from edgekit.fleet.store.rollouts import find_rollout, list_rollouts, list_standings, save_rollout
from edgekit.fleet.views import Explanation, PlannedPhase, RolloutPlan, RolloutRequest, RolloutView
from edgekit.manifest import Manifest
from edgekit.releases.versions import Release, parse_reference
from edgekit.rollout import Decision, Rollout, RolloutEvent, Standing, abort, is_only_waiting, plan_phases, roll_back
from edgekit.selection import parse_selection

_BY_HAND = "somebody asked for it"
_OPEN_AT_MOST = 10_000

#: What an order makes of a rollout and how its devices stand with it.
Order = Callable[[Rollout, Sequence[Standing]], Decision]


class RolloutConflict(InputError):
    """Two rollouts at once would tell one device two things."""

    def __init__(self, release: str, other: Rollout, devices: Sequence[str]) -> None:
        named = ", ".join(devices[:3]) + (f" and {len(devices) - 3} more" if len(devices) > 3 else "")
        super().__init__(
            f"rollout of {release}",
            f"rollout {other.id} of {other.release} is {other.state.value} and reaches {named} too",
            f"Wait for its end (edgekit rollout watch {other.id}), abort it, or select other devices.",
        )


class NobodySelected(InputError):
    """A rollout to nobody."""

    def __init__(self, select: str) -> None:
        subject = f"selection {select!r}" if select else "fleet"
        super().__init__(subject, "there is no device in it", "See edgekit device list: a device is known once its agent has reported.")


class RolloutDesk:
    """Takes orders for the rollouts in *store*, of releases that *releases* reads.

    *signer* signs what devices should have when a release is taken back, and *wake* is called once something has changed.
    """

    def __init__(self, store: Store, releases: ReleaseReader, signer: Signer, clock: Callable[[], int], wake: Callable[[], None]) -> None:
        self._store = store
        self._releases = releases
        self._signer = signer
        self._clock = clock
        self._wake = wake

    async def plan(self, request: RolloutRequest) -> RolloutPlan:
        """What *request* would do now, if all went well; nothing is changed. Raises as start does, but for a conflict."""
        rollout, manifest = await self._prepare(request)
        return await self._store.read(_plan, rollout, manifest, self._clock())

    async def start(self, request: RolloutRequest) -> RolloutView:
        """Begin a rollout.

        Raises:
            UnknownName: the repository has no such release.
            InputError: the request says something that cannot be, selects nobody, or another rollout is on its way to one of
                its devices.
        """
        rollout, _ = await self._prepare(request)
        return await self._order(_start, rollout, self._clock())

    async def view(self, rollout: str) -> RolloutView:
        """A rollout and how its devices stand with it, or UnknownName."""
        return await self._store.read(_view, rollout)

    async def pause(self, rollout: str) -> RolloutView:
        """Give it to no further device until it is resumed; RolloutEnded where it does not run."""
        return await self._order(_carry_order, rollout, _change(RolloutEvent.PAUSED), self._signer, self._clock())

    async def resume(self, rollout: str) -> RolloutView:
        """Go on with a paused one; RolloutEnded where it is not paused."""
        return await self._order(_carry_order, rollout, _change(RolloutEvent.RESUMED), self._signer, self._clock())

    async def abort(self, rollout: str) -> RolloutView:
        """Stop it and take the release back from all that were given it; RolloutEnded where it has ended."""
        return await self._order(_carry_order, rollout, lambda one, standings: abort(one, standings, _BY_HAND), self._signer, self._clock())

    async def roll_back(self, rollout: str) -> RolloutView:
        """Take the release back from all that were given it, also after it has finished; RolloutEnded where that was done."""
        return await self._order(_carry_order, rollout, lambda one, standings: roll_back(one, standings, _BY_HAND), self._signer, self._clock())

    async def explain(self, device: str) -> Explanation:
        """Why *device* is where it is, or UnknownName."""
        return Explanation(device=device, sentences=await self._store.read(explain_models, device, self._clock()))

    async def _prepare(self, request: RolloutRequest) -> tuple[Rollout, Manifest]:
        parse_selection(request.select)
        release, manifest = await self._releases.find_release(parse_reference(request.release))
        return make_rollout(request, release, secrets.token_hex(3), self._clock()), manifest

    async def _order(self, work: Callable[..., RolloutView], *args: object) -> RolloutView:
        view = await self._store.write(work, *args)
        self._wake()
        return view


def make_rollout(request: RolloutRequest, release: Release, token: str, now_ms: int) -> Rollout:
    """The rollout that *request* asks for; *token* tells it from others of the same release."""
    # Names have no dots (edgekit.records.Name).
    name = re.sub("[^A-Za-z0-9]+", "-", str(release.reference))[:50].strip("-")
    return Rollout(
        id=f"{name}-{token}",
        model=release.name,
        release=str(release.reference),
        digest=release.digest,
        select=request.select,
        phases=request.phases,
        error_threshold=request.error_threshold,
        trial=request.trial,
        created_ms=now_ms,
    )


def _change(event: RolloutEvent) -> Order:
    return lambda rollout, _: Decision(rollout=rollout.after(event, _BY_HAND))


def _plan(connection: Connection, rollout: Rollout, manifest: Manifest, now_ms: int) -> RolloutPlan:
    standings = _select(connection, rollout)
    planned = zip(rollout.phases, plan_phases(rollout, standings, now_ms), strict=True)
    return RolloutPlan(
        release=rollout.release,
        model=rollout.model,
        digest=rollout.digest,
        phases=tuple(PlannedPhase(phase=str(phase), devices=devices) for phase, devices in planned),
        absent=tuple(one.device for one in standings if not one.is_present(now_ms)),
        conflicts=tuple(other.id for other, _ in _find_conflicts(connection, rollout, standings, now_ms)),
        downloads={one.id: sum(entry.length for entry in (*manifest.shared_files, *one.files)) for one in manifest.variants},
    )


def _start(connection: Connection, rollout: Rollout, now_ms: int) -> RolloutView:
    standings = _select(connection, rollout)
    conflicts = _find_conflicts(connection, rollout, standings, now_ms)
    if conflicts:
        raise RolloutConflict(rollout.release, *conflicts[0])
    for other, _ in _find_overlapping(connection, rollout, standings):
        # It only waits for devices that are away: the newer release is what they should get when they return.
        _save(connection, other.after(RolloutEvent.FINISHED, f"rollout {rollout.id} of {rollout.release} has taken its place"), now_ms)
    _save(connection, rollout, now_ms)
    return RolloutView(rollout=rollout, standings=tuple(standings))


def _select(connection: Connection, rollout: Rollout) -> list[Standing]:
    standings = list_standings(connection, rollout)
    if not standings:
        raise NobodySelected(rollout.select)
    return standings


def _find_conflicts(connection: Connection, rollout: Rollout, standings: Sequence[Standing], now_ms: int) -> list[tuple[Rollout, list[str]]]:
    """The open rollouts of the same model that still work on devices of *standings*, and which these are."""
    overlapping = _find_overlapping(connection, rollout, standings)
    return [(other, shared) for other, shared in overlapping if not is_only_waiting(other, list_standings(connection, other), now_ms)]


def _find_overlapping(connection: Connection, rollout: Rollout, standings: Sequence[Standing]) -> list[tuple[Rollout, list[str]]]:
    wanted = {one.device for one in standings}
    found = []
    for other in list_rollouts(connection, model=rollout.model, only_open=True, limit=_OPEN_AT_MOST):
        shared = [one.device for one in list_standings(connection, other) if one.device in wanted]
        found += [(other, shared)] if shared else []
    return found


def _carry_order(connection: Connection, rollout_id: str, order: Order, signer: Signer, now_ms: int) -> RolloutView:
    rollout = find_rollout(connection, rollout_id)
    decision = order(rollout, list_standings(connection, rollout))
    carry_out(connection, decision, signer, now_ms)
    if decision.rollout.is_open:
        append_event(connection, "rollout", rollout.id, f"{decision.rollout.state.value}: {decision.rollout.reason}", now_ms)
    return _view(connection, rollout_id)


def _save(connection: Connection, rollout: Rollout, now_ms: int) -> None:
    save_rollout(connection, rollout, now_ms)
    text = f"{rollout.state.value}: {rollout.release} to {rollout.select or 'every device'}. {rollout.reason}".strip()
    append_event(connection, "rollout", rollout.id, text, now_ms)


def _view(connection: Connection, rollout_id: str) -> RolloutView:
    rollout = find_rollout(connection, rollout_id)
    return RolloutView(rollout=rollout, standings=tuple(list_standings(connection, rollout)))
