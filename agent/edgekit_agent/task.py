"""One model's newest deployment, as far as this process has brought it."""

from dataclasses import dataclass

from edgekit.deployment import SETTLED, Deployment, State
from edgekit.desired import DesiredModel
from edgekit_agent.serving import LiveModel


@dataclass
class Task:
    """What is on the disk of a deployment, what was *desired*, and what this process alone knows. Seconds are of the monotonic clock.

    *live* is the release once it is loaded, *began_s* when its trial began in this process, *reported_s* when it was last told
    of, and *due_s* when a source that could not be reached is tried again, *attempts* having failed. *is_carried_out* says that
    slots and serving are as a settled state wants them.
    """

    deployment: Deployment
    desired: DesiredModel
    entered_s: float
    live: LiveModel | None = None
    began_s: float = 0.0
    reported_s: float = 0.0
    attempts: int = 0
    due_s: float = 0.0
    is_carried_out: bool = False

    @property
    def model(self) -> str:
        """The model's name."""
        return self.deployment.model

    @property
    def state(self) -> State:
        """Where the deployment stands."""
        return self.deployment.state

    @property
    def is_open(self) -> bool:
        """Whether there is something to do or to watch: an unproven release may still be proved by requests that come later."""
        return self.state not in SETTLED or self.state is State.UNPROVEN

    def is_for(self, desired: DesiredModel) -> bool:
        """Whether this is what is *desired*, under way or ended. One that gave way to something else is begun anew."""
        same = (desired.model, desired.deployment, desired.digest) == (self.model, self.deployment.id, self.deployment.digest)
        return same and self.state is not State.SUPERSEDED


def recall_desired(deployment: Deployment) -> DesiredModel:
    """What was desired, as far as its deployment tells."""
    return DesiredModel(
        model=deployment.model, deployment=deployment.id, release=deployment.release or None, digest=deployment.digest, trial=deployment.trial
    )
