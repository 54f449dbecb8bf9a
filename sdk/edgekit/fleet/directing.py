"""What devices should have, decided and signed: a decision becomes assignments, and these one signed directive a device.

All of it happens on one connection, so in one transaction: a server that dies in between has decided nothing.
"""

from collections.abc import Iterable

from securesystemslib.signer import Signer
from sqlalchemy.engine import Connection

from edgekit.deployment import TrialTerms
from edgekit.desired import DesiredModel, DesiredState, next_counter, sign_desired
from edgekit.fleet.store.devices import read_status
from edgekit.fleet.store.directives import Directive, find_counter, save_directive
from edgekit.fleet.store.rollouts import Assignment, Before, apply_decision, find_current, list_desired, name_return
from edgekit.rollout import Decision, Rollout
from edgekit.status import DeviceStatus, ModelStatus

#: How long a directive is good. A device that was away for longer says so when it returns, and gets a new one.
LIFETIME_MS = 7 * 86_400_000
#: What a device goes back to was good on it before: it is proved with the golden samples, and then nothing is waited for.
RETURN_TERMS = TrialTerms(min_requests=0, min_s=0.0, max_s=0.0)


def carry_out(connection: Connection, decision: Decision, signer: Signer, now_ms: int) -> None:
    """Keep *decision*, and sign for each device that it names what it should have from now on."""
    rollout = decision.rollout
    wanted = [_assign(connection, rollout, device) for device in decision.assign]
    wanted += [back for device in decision.roll_back if (back := _return(connection, rollout, device)) is not None]
    apply_decision(connection, decision, wanted, now_ms)
    sign_directives(connection, (one.device for one in wanted), signer, now_ms)


def sign_directives(connection: Connection, devices: Iterable[str], signer: Signer, now_ms: int) -> None:
    """Sign anew what each of *devices* should have, under a counter above all that it or we have seen; to be sent at once."""
    for device in devices:
        counter = next_counter(find_counter(connection, device), now_ms)
        models, expires_ms = list_desired(connection, device), now_ms + LIFETIME_MS
        desired = DesiredState(device=device, counter=counter, issued_ms=now_ms, expires_ms=expires_ms, models=models)
        message = sign_desired(desired, signer)
        directive = Directive(device=device, counter=counter, message=message, issued_ms=now_ms, expires_ms=expires_ms)
        save_directive(connection, directive, due_ms=now_ms)


def _assign(connection: Connection, rollout: Rollout, device: str) -> Assignment:
    desired = DesiredModel(
        model=rollout.model,
        deployment=rollout.id,
        release=rollout.release,
        digest=rollout.digest,
        trial=rollout.trial,
        floor=_find_version(rollout.release),
    )
    reported = _find_reported(read_status(connection, device), rollout.model)
    before = find_before(find_current(connection, device, rollout.model), reported)
    return Assignment(device=device, desired=desired, rollout=rollout.id, before=before)


def _return(connection: Connection, rollout: Rollout, device: str) -> Assignment | None:
    """What takes the release back; None where something newer is desired by now, which then stays."""
    current = find_current(connection, device, rollout.model)
    if current is None or current.desired.deployment != rollout.id:
        return None
    before = current.before
    desired = DesiredModel(
        model=rollout.model,
        deployment=name_return(rollout.id),
        release=before.release,
        digest=before.digest,
        trial=RETURN_TERMS,
        floor=_find_version(before.release) if before.release else None,
    )
    return Assignment(device=device, desired=desired, rollout=rollout.id, before=before)


def find_before(current: Assignment | None, reported: ModelStatus | None) -> Before:
    """What a device goes back to if the release that it is to be given now does badly.

    That is what it says that it serves, where it has done with all that was asked of it. Otherwise what it serves may be just
    what it was told to leave, so that the release counts that it was on its way back to, or came from.
    """
    if current is None or _agrees(current, reported):
        return Before() if reported is None else Before(release=reported.release, digest=reported.digest)
    if current.desired.deployment == name_return(current.rollout):
        return Before(release=current.desired.release, digest=current.desired.digest)
    return current.before


def _agrees(current: Assignment, reported: ModelStatus | None) -> bool:
    deployment = None if reported is None else reported.deployment
    return deployment is not None and deployment.id == current.desired.deployment and deployment.is_settled


def _find_reported(status: DeviceStatus | None, model: str) -> ModelStatus | None:
    models = () if status is None else status.models
    return next((one for one in models if one.model == model), None)


def _find_version(release: str) -> str:
    return release.partition("@")[2]
