"""Brings each model to what the fleet desires, on a thread of its own. What is in the way of one model does not stop the others."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from edgekit.deployment import Event, State
from edgekit.desired import DesiredModel, UnknownDirector
from edgekit.errors import EdgekitError
from edgekit.status import DeviceStatus, ModelStatus
from edgekit_agent.clock import Clock
from edgekit_agent.deploying import Deployer, Interrupted
from edgekit_agent.ledger import Ledger
from edgekit_agent.observing import Journal
from edgekit_agent.orders import Orders
from edgekit_agent.serving import Serving
from edgekit_agent.stepping import Stepper
from edgekit_agent.task import Task

log = logging.getLogger(__name__)

#: Seconds between two looks at what is under way, and between two when nothing is.
TICK_S, IDLE_S = 0.5, 30.0
#: Seconds that work under way gets to reach a place to stop at. After that it dies with the process, which it survives.
STOP_S = 5.0
#: Messages that may wait to be looked at. The server repeats what was dropped.
INBOX = 16
#: States in which a release can take the agent with it.
_AT_RISK = (State.PROVING, State.TRIAL, State.UNPROVEN)
_ON_TRIAL = (State.TRIAL, State.UNPROVEN)


class Updater:
    """Obeys the director's messages for one *device*.

    The caller holds the lock of the slots for as long as it runs.
    """

    def __init__(  # noqa: PLR0913 - the parts of a composition
        self,
        *,
        device: str,
        epoch: str,
        orders: Orders,
        ledger: Ledger,
        deployer: Deployer,
        serving: Serving,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._orders = orders
        self._ledger = ledger
        self._deployer = deployer
        self._serving = serving
        self._journal = journal
        self._listener: Callable[[], None] = lambda: None
        self._clock = clock
        self._stepper = Stepper(
            ledger=ledger, deployer=deployer, serving=serving, journal=journal, clock=clock, changed=self._publish, check=self._check
        )
        self._tasks: dict[str, Task] = {}
        self._inbox: deque[bytes] = deque(maxlen=INBOX)
        self._unsigned: deque[bytes] = deque(maxlen=INBOX)
        self._wake, self._stop = threading.Event(), threading.Event()
        self._refused = ""
        self._looked_s = 0.0
        self._status = DeviceStatus(device=device, epoch=epoch)

    def offer(self, message: bytes) -> None:
        """Look at *message* soon. It may be called by any thread; what gets lost in here is repeated by the server."""
        self._inbox.append(message)
        self._wake.set()

    def describe_status(self) -> DeviceStatus:
        """How this device stands. It may be called by any thread."""
        return replace(self._status, at_ms=self._clock.read_ms())

    def watch(self, listener: Callable[[], None]) -> None:
        """Have *listener* called on each change of the status, by whatever thread makes it; it must return at once."""
        self._listener = listener

    def recover(self) -> None:
        """Take up what was under way when the agent ended. This comes before anything is served, since it may move slots."""
        for work in (self._recall, self._count_crashes, self._settle, self._tidy):
            self._guard(work)
        self._publish()

    def _recall(self) -> None:
        self._orders.recall()
        for deployment in self._ledger.list_deployments():
            self._tasks[deployment.model] = self._stepper.resume(deployment, self._orders.find_model(deployment.model))

    def _count_crashes(self) -> None:
        has_crashed = self._ledger.begin_run()
        for task in self._tasks.values():
            if has_crashed and task.state in _AT_RISK:
                self._stepper.count_crash(task)

    def _settle(self) -> None:
        for task in self._tasks.values():
            self._stepper.carry_out(task)

    def _tidy(self) -> None:
        self._deployer.tidy(keep_partial=any(task.is_open for task in self._tasks.values()))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Work on a thread of its own while the block runs."""
        thread = threading.Thread(target=self._run, name="updater", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._wake.set()
            thread.join(STOP_S)
            self._ledger.end_run()

    def _run(self) -> None:
        self._guard(self._heal)
        self._guard(self._obey)
        while not self._stop.is_set():
            self._wake.clear()
            self._guard(self._turn)
            self._wake.wait(TICK_S if any(not task.is_carried_out for task in self._tasks.values()) else IDLE_S)

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except EdgekitError as error:
            log.warning("what is desired is not carried out just now: %s", error)
        except Exception:
            # Serving must outlive a fault in here, and the next turn may be a better one.
            log.exception("the updater failed; it goes on")

    def _turn(self) -> None:
        self._inbox.extend(self._unsigned)
        self._unsigned.clear()
        self._read_orders(may_ask=True)
        waiting = [task for task in self._tasks.values() if not task.is_carried_out]
        for task in waiting:
            if self._tasks.get(task.model) is not task or self._stop.is_set():
                continue
            before = task.state
            if task.is_open:
                self._stepper.step(task)
            else:
                self._stepper.carry_out(task)
            if task.state is not before:
                self._wake.set()  # the next step need not wait
        if any(task.is_carried_out for task in waiting):
            self._tidy()

    def _check(self, task: Task) -> None:
        """While a step of *task* goes on: look whether it is still wanted, and how the trials of other models go."""
        now_s = self._clock.monotonic()
        self._read_orders(may_ask=False)
        if now_s - self._looked_s >= TICK_S:
            self._looked_s = now_s
            for other in [one for one in self._tasks.values() if one is not task and one.state in _ON_TRIAL]:
                self._stepper.step(other)
        if self._stop.is_set() or not task.is_open or self._stepper.is_late(task):
            raise Interrupted(task.deployment.release)

    def _read_orders(self, *, may_ask: bool) -> None:
        """Obey the messages that came. Without *may_ask*, one by an unknown signer waits until the network is free."""
        while self._inbox:
            message = self._inbox.popleft()
            try:
                self._orders.accept(message, may_ask=may_ask)
            except UnknownDirector as error:
                if may_ask:
                    self._refuse(error)
                else:
                    self._unsigned.append(message)
            except EdgekitError as error:
                self._refuse(error)
            else:
                self._refused = ""
                self._obey()

    def _refuse(self, error: EdgekitError) -> None:
        if self._refused != str(error)[:2000]:
            self._refused = str(error)[:2000]
            log.warning("a message to this device was refused: %s", error)
            self._journal.on_event("refused", "", str(error))
            self._publish()

    def _obey(self) -> None:
        """End what is no longer desired, and begin what newly is."""
        wanted = self._orders.list_models()
        for task in self._tasks.values():
            if task.is_open and not any(map(task.is_for, wanted)):
                self._stepper.move(task, Event.NEWER_DESIRED, "something else is desired by now")
        for desired in wanted:
            known = self._tasks.get(desired.model)
            if known is None or not known.is_for(desired):
                self._begin(desired)
        self._serving.expected = self._deployer.find_expected(wanted)
        self._publish()

    def _heal(self) -> None:
        """Deploy again what was committed and does not serve: a byte of it has changed, or somebody has installed something else."""
        for desired in self._orders.list_models():
            task = self._tasks.get(desired.model)
            is_committed = task is not None and task.is_for(desired) and task.state is State.COMMITTED
            if is_committed and desired.release and not self._deployer.is_done(desired):
                self._begin(desired, "it was committed, and does not serve any more")

    def _begin(self, desired: DesiredModel, reason: str = "") -> None:
        self._tasks[desired.model] = self._stepper.begin(desired, self._orders.counter, reason)

    def _publish(self) -> None:
        models = tuple(self._describe_model(model) for model in self._list_models())
        last = self._status
        self._status = replace(last, revision=last.revision + 1, counter=self._orders.counter, models=models[:64], refused=self._refused)
        self._listener()

    def _list_models(self) -> list[str]:
        return sorted({info.name for info in self._serving.list_models()} | self._tasks.keys())

    def _describe_model(self, model: str) -> ModelStatus:
        info = next((info for info in self._serving.list_models() if info.name == model), None)
        task = self._tasks.get(model)
        return ModelStatus(
            model=model,
            release=info.release if info else None,
            digest=info.digest if info else None,
            variant=info.variant if info else "",
            runtime=info.runtime if info else "",
            previous=self._deployer.find_previous(model, info.digest if info else None),
            deployment=task.deployment if task else None,
        )
