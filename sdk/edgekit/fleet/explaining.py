"""Why a device is where it is: one sentence for each model."""

from sqlalchemy.engine import Connection

from edgekit.fleet.store.devices import find_device, read_status
from edgekit.fleet.store.rollouts import Assignment, find_current, find_rollout, list_desired, list_rollouts, list_standings, name_return
from edgekit.rollout import Rollout, Standing, explain_standing
from edgekit.status import ModelStatus


def explain_models(connection: Connection, device: str, now_ms: int) -> tuple[str, ...]:
    """One sentence for each model that *device* has, should have, or may get; UnknownName where there is no such device."""
    find_device(connection, device)
    status = read_status(connection, device)
    reported = {} if status is None else {one.model: one for one in status.models}
    pending = {rollout.model: (rollout, one) for rollout, one in reversed(_find_open(connection, device))}
    models = sorted({*reported, *pending, *(one.model for one in list_desired(connection, device))})
    refused = (f"It refused what it should have: {status.refused.rstrip('.')}.",) if status is not None and status.refused else ()
    if not models:
        return (*refused, "It has no model, and no rollout selects it.")
    return refused + tuple(
        f"{model}: it serves {_say_served(reported.get(model))}. {_explain(connection, device, model, pending.get(model), now_ms)}"
        for model in models
    )


def _find_open(connection: Connection, device: str) -> list[tuple[Rollout, Standing]]:
    """The open rollouts that reach *device*, newest first, and how it stands with them."""
    rollouts = list_rollouts(connection, only_open=True)
    return [(rollout, one) for rollout in rollouts for one in list_standings(connection, rollout) if one.device == device]


def _say_served(reported: ModelStatus | None) -> str:
    if reported is None or reported.release is None:
        return "nothing"
    return f"{reported.release} ({reported.variant})" if reported.variant else reported.release


def _explain(connection: Connection, device: str, model: str, pending: tuple[Rollout, Standing] | None, now_ms: int) -> str:
    if pending is not None:
        return explain_standing(*pending, now_ms)
    current = find_current(connection, device, model)
    if current is None:
        return "No rollout has asked for another: it was installed on the device itself."
    rollout = find_rollout(connection, current.rollout)
    if current.desired.deployment == name_return(rollout.id):
        return _explain_return(rollout, current)
    stood = next(one for one in list_standings(connection, rollout) if one.device == device)
    return explain_standing(rollout, stood, now_ms)


def _explain_return(rollout: Rollout, current: Assignment) -> str:
    target = current.desired.release or "no release, as before"
    known = f"it says {current.state.value.replace('_', ' ')}" if current.state else "it has not answered yet"
    because = f": {current.reason}" if current.reason else ""
    ended = f"rollout {rollout.id} of {rollout.release} is {rollout.state.value.replace('_', ' ')} ({rollout.reason})"
    return f"It goes back to {target}, since {ended}; {known}{because}."
