"""One step of one deployment: what its state asks for is done, and what follows is on the disk before it is acted on.

Which state follows is in the table of edgekit.deployment alone.
"""

import logging
import random
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from edgekit.deployment import Deployment, Event, Evidence, State, Verdict, explain_deployment, judge_trial
from edgekit.desired import DesiredModel
from edgekit.errors import EdgekitError, GateRefused, TransferError
from edgekit_agent.clock import Clock
from edgekit_agent.deploying import Deployer, Interrupted
from edgekit_agent.ledger import Ledger
from edgekit_agent.observing import Journal
from edgekit_agent.serving import LiveModel, Serving
from edgekit_agent.task import Task, recall_desired

log = logging.getLogger(__name__)

#: Seconds between two reports of how a trial goes.
REPORT_S = 5.0
#: Seconds after which an inference that does not end is taken for hung.
HANG_S = 30.0
#: The longest wait before a source that cannot be reached is tried again, in seconds.
LONGEST_WAIT_S = 60.0
#: So often may the agent crash while it proves or tries a release, and not a time more.
MAX_CRASHES = 3

#: Called while a step goes on: raises Interrupted where the task is no longer wanted.
Check = Callable[[Task], None]


class Stepper:
    """Brings tasks on. *changed* is called after each change of one, and *check* while a step takes its time. One thread uses it."""

    def __init__(  # noqa: PLR0913 - the parts that a step needs
        self, *, ledger: Ledger, deployer: Deployer, serving: Serving, journal: Journal, clock: Clock, changed: Callable[[], None], check: Check
    ) -> None:
        self._ledger = ledger
        self._deployer = deployer
        self._serving = serving
        self._journal = journal
        self._clock = clock
        self._changed = changed
        self._check = check
        self._steps = {
            State.PENDING: self._start,
            State.DOWNLOADING: self._fetch,
            State.PROVING: self._prove,
            State.TRIAL: self._watch,
            State.UNPROVEN: self._watch,
        }

    def begin(self, desired: DesiredModel, counter: int, reason: str = "") -> Task:
        """A new task for what is *desired* by the message with *counter*."""
        deployment = Deployment(
            id=desired.deployment,
            model=desired.model,
            release=desired.release or "",
            digest=desired.digest,
            counter=counter,
            trial=desired.trial,
            since_ms=self._clock.read_ms(),
            reason=reason,
        )
        self._ledger.write_deployment(deployment)
        self._tell(deployment)
        return Task(deployment, desired, self._clock.monotonic())

    def resume(self, deployment: Deployment, desired: DesiredModel | None) -> Task:
        """The task that was left as *deployment* when the agent ended.

        Over a restart only the wall clock can tell how long its state has lasted; where it was set back, the state begins now.
        """
        spent_s = max(0, self._clock.read_ms() - deployment.since_ms) / 1000
        return Task(deployment, desired or recall_desired(deployment), self._clock.monotonic() - spent_s)

    def step(self, task: Task) -> None:
        """Do what the state of *task* asks for. Whatever goes wrong ends it, but for a source that cannot be reached."""
        try:
            if self.is_late(task):
                self.move(task, Event.TIMED_OUT, f"it was {task.state.value} for too long; the last word was: {task.deployment.reason}")
            else:
                self._steps[task.state](task)
        except Interrupted as error:
            log.info("%s", error)
        except TransferError as error:
            self._postpone(task, error)
        except EdgekitError as error:
            self.move(task, Event.BROKE, _say(error))
        except Exception as error:
            log.exception("%s cannot go on", task.deployment.release)
            self.move(task, Event.BROKE, f"a fault in the agent or in a runtime: {error!r}")

    def move(self, task: Task, event: Event, reason: str = "", **changes: Any) -> None:
        """Let *event* happen to *task*: on the disk first, then in slots and serving. *changes* are other fields of its deployment."""
        deployment = replace(task.deployment.after(event, self._clock.read_ms(), reason), **changes)
        self._ledger.write_deployment(deployment)
        task.deployment, task.entered_s = deployment, self._clock.monotonic()
        self._tell(deployment)
        self.carry_out(task)
        self._changed()

    def carry_out(self, task: Task) -> None:
        """Do what a settled state means for slots and serving. It may be done again, as after a crash in between."""
        if task.is_open:
            return
        try:
            if task.state is not State.COMMITTED:
                self._deployer.take_back(task.model)
            elif task.deployment.digest is None:
                self._deployer.clear(task.model)
            else:
                self._deployer.keep(task.model, task.deployment.digest)
        except EdgekitError as error:
            log.warning("%s This is not carried out yet, and will be tried again: %s", explain_deployment(task.deployment), error)
        else:
            task.is_carried_out = True

    def count_crash(self, task: Task) -> None:
        """Hold against *task* that the agent crashed while it was proving or trying; too often is its end."""
        task.deployment = replace(task.deployment, crashes=task.deployment.crashes + 1)
        crashes, during = task.deployment.crashes, task.state.value
        if crashes < MAX_CRASHES:
            self._ledger.write_deployment(task.deployment)
            self._journal.on_event("crash", task.model, f"the agent crashed while {task.deployment.release} was {during}")
        else:
            self.move(task, Event.BROKE, f"the agent crashed {crashes} times while proving or trying it, the last time when it was {during}")

    def is_late(self, task: Task) -> bool:
        """Whether its state has lasted too long, by a clock that nobody sets."""
        spent_ms = int((self._clock.monotonic() - task.entered_s) * 1000)
        return task.deployment.is_late(task.deployment.since_ms + spent_ms)

    def _start(self, task: Task) -> None:
        if task.desired.release is None:
            self._finish(task, "no release is desired")
        elif self._deployer.is_done(task.desired):
            self._finish(task, "already active")
        else:
            self._deployer.check_order(task.desired)
            self.move(task, Event.STARTED)

    def _finish(self, task: Task, reason: str) -> None:
        """Commit what needs no work, through the same table as all else."""
        active = self._deployer.find_active(task.model) if task.desired.release else None
        for event in (Event.STARTED, Event.DOWNLOADED, Event.PROVED):
            task.deployment = task.deployment.after(event, self._clock.read_ms())
        self.move(task, Event.PROVED_GOOD, reason, variant=active.variant if active else "")

    def _fetch(self, task: Task) -> None:
        if self._clock.monotonic() < task.due_s:
            return
        installed, reason = self._deployer.fetch(task.desired, lambda: self._check(task))
        self.move(task, Event.DOWNLOADED, reason, variant=installed.variant)

    def _postpone(self, task: Task, error: TransferError) -> None:
        """Try again in a while: soon at first, then ever less often, each device after another time."""
        wait_s = min(LONGEST_WAIT_S, 2.0 ** min(task.attempts, 16)) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads devices, guards nothing
        task.attempts += 1
        task.due_s = self._clock.monotonic() + wait_s
        task.deployment = replace(task.deployment, reason=f"attempt {task.attempts} failed, and another follows: {_say(error)}"[:2000])
        log.warning("%s is not here yet: %s", task.deployment.release, error)
        self._changed()

    def _prove(self, task: Task) -> None:
        task.live = task.live or self._deployer.load_trial(task.model)
        # That takes its time, and by now something newer may be desired.
        try:
            self._check(task)
        except Interrupted:
            task.live.retire()
            task.live = None
            raise
        raw = task.live.info.raw
        told = f"; {raw.proof}" if raw is not None and raw.proof else ""
        self.move(task, Event.PROVED, f"its answers to the golden samples are the source model's{told}")
        self._begin_trial(task)

    def _begin_trial(self, task: Task) -> None:
        task.live = task.live or self._deployer.load_trial(task.model)
        self._serving.begin_trial(task.live)
        task.began_s = task.reported_s = self._clock.monotonic()
        self._changed()

    def _watch(self, task: Task) -> None:
        evidence = self._serving.find_evidence(task.model)
        if evidence is None or task.live is None:
            # The agent has just started. What was seen before is forgotten, since it was of another process.
            self._begin_trial(task)
            return
        verdict, why = self._judge(task, task.live, evidence)
        if verdict is Verdict.GOOD:
            self.move(task, Event.PROVED_GOOD, why, evidence=evidence)
        elif verdict is Verdict.BAD:
            self.move(task, Event.PROVED_BAD, why, evidence=evidence)
        elif verdict is Verdict.NO_EVIDENCE and task.state is State.TRIAL:
            self._replay(task, task.live, evidence, why)
        else:
            self._report(task, evidence, why)

    def _judge(self, task: Task, live: LiveModel, evidence: Evidence) -> tuple[Verdict, str]:
        running_s = live.find_running_s()
        if running_s > HANG_S:
            return Verdict.BAD, f"a request has been running for {running_s:.0f} s"
        return judge_trial(task.deployment.trial, evidence, self._clock.monotonic() - task.began_s)

    def _replay(self, task: Task, live: LiveModel, evidence: Evidence, why: str) -> None:
        """With too few requests to tell, its golden samples decide: whether it may go on serving, but not that it is proved."""
        try:
            count = self._deployer.replay(live)
        except GateRefused as error:
            self.move(task, Event.PROVED_BAD, _say(error), evidence=evidence)
        else:
            self.move(task, Event.NO_EVIDENCE, f"{why}; it still answers its {count} golden samples as it should", evidence=evidence)

    def _report(self, task: Task, evidence: Evidence, why: str) -> None:
        """Tell how a trial goes, now and then, and not to the disk."""
        now_s = self._clock.monotonic()
        if now_s - task.reported_s >= REPORT_S and evidence != task.deployment.evidence:
            reason = why if task.state is State.TRIAL else task.deployment.reason
            task.reported_s, task.deployment = now_s, replace(task.deployment, evidence=evidence, reason=reason)
            self._changed()

    def _tell(self, deployment: Deployment) -> None:
        text = explain_deployment(deployment)
        log.info("model %s: %s", deployment.model, text)
        self._journal.on_event("deployment", deployment.model, text)


def _say(error: EdgekitError) -> str:
    """What is wrong, without what one person at this device could do about it: the fleet reads this."""
    return f"{error.subject}: {error.problem}"
