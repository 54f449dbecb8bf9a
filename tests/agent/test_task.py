"""When a deployment is what is desired, and when there is still something to do for it."""

import pytest

from edgekit.deployment import Deployment, State, TrialTerms
from edgekit.desired import DesiredModel
from edgekit.files import digest_bytes
from edgekit_agent.task import Task, recall_desired

DESIRED = DesiredModel(model="digits", deployment="d1", release="digits@1.0.0", digest=digest_bytes(b"1"), trial=TrialTerms(min_requests=5))


def make_task(state: State = State.TRIAL, **fields: object) -> Task:
    known = {"id": "d1", "model": "digits", "release": "digits@1.0.0", "digest": DESIRED.digest, "counter": 1, "trial": DESIRED.trial}
    return Task(Deployment(**known | {"state": state} | fields), DESIRED, 0.0)


@pytest.mark.parametrize("state", State)
def test_a_task_is_open_until_nothing_can_come_of_it(state):
    """What is unproven can still be proved or fail; every other end is one."""
    assert make_task(state).is_open == (state in (State.PENDING, State.DOWNLOADING, State.PROVING, State.TRIAL, State.UNPROVEN))


@pytest.mark.parametrize("state", State)
def test_the_same_order_is_not_begun_again(state):
    """What is under way or has ended is what is desired, unless it had given way to something else."""
    assert make_task(state).is_for(DESIRED) == (state is not State.SUPERSEDED)


@pytest.mark.parametrize("fields", [{"id": "d2"}, {"model": "cats"}, {"digest": digest_bytes(b"2")}, {"release": "", "digest": None}])
def test_another_order_is_another(fields):
    """Another deployment, model or digest is not what is desired."""
    assert not make_task(**fields).is_for(DESIRED)


def test_a_deployment_tells_what_was_desired():
    """Where the message is lost, its deployment still says model, release and terms; no release is none."""
    assert recall_desired(make_task().deployment) == DESIRED
    assert recall_desired(Deployment(id="d1", model="digits", counter=1)).release is None
