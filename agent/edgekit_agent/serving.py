"""The models that answer requests now, and how one takes the place of another without a request noticing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from edgekit.arrays import Array, Arrays
from edgekit.bundles import VerifiedBundle
from edgekit.deployment import Evidence
from edgekit.errors import DeviceError, InputError, UnknownName
from edgekit.manifest import Variant
from edgekit.records import Digest, Record
from edgekit.runtimes.sessions import InferenceSession
from edgekit.tensors import TensorSpec
from edgekit_agent.asking import Answer, Question, ask
from edgekit_agent.inventory import Machine
from edgekit_agent.observing import Observer, Outcome, Unheard
from edgekit_agent.proving import open_proven
from edgekit_agent.raw_access import OpenContract, RawAccess, RawUnavailable, describe_access
from edgekit_agent.trial import Trial

if TYPE_CHECKING:
    from edgekit.processing.base import Fed

#: Requests that may wait for a model while it runs another; at 20 ms each, the last waits a third of a second.
QUEUE = 16
#: Seconds after which a request that does not end is taken for hung, and its session is left to the end of the process.
DRAIN_S = 30.0
#: Raw items that a model decodes at once, beside an inference: a picture of 64 megapixels takes 200 MB while it is decoded.
FEEDERS = 2
#: The latest inferences of a model by which its p95 is told.
WINDOW = 1000

log = logging.getLogger(__name__)


class Busy(DeviceError):
    """The model cannot take this request now, and may a little later."""

    def __init__(self, model: str, problem: str) -> None:
        super().__init__(f"model {model!r}", problem, "Try again in a second.")


class UnknownModel(UnknownName):
    """No such model is served here, or not in that version."""


class ModelInfo(Record, frozen=True, kw_only=True):
    """What is served under a model's name. *release* is None where a bundle is served that was never released.

    *raw* says how it is asked with pictures, sounds, texts or tables; None where it takes tensors alone.
    """

    name: str
    version: str
    release: str | None
    digest: Digest
    variant: str
    format: str
    precision: str
    runtime: str
    runtime_version: str | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    raw: RawAccess | None = None


class LiveModel:
    """One proven variant. It runs one request at a time, since not every runtime's session is safe for more.

    What its *contract* makes of raw items does not wait for that turn: while one request is inferred, others are decoded.
    """

    def __init__(self, info: ModelInfo, session: InferenceSession, queue: int = QUEUE, contract: OpenContract | None = None) -> None:
        self.info = info
        self.inputs = info.inputs
        self.contract = contract or OpenContract()
        self._session = session
        self._feeding = threading.BoundedSemaphore(FEEDERS)
        self._most = 1 + queue
        self._turn = threading.Lock()
        self._changed = threading.Condition()
        self._in_flight = 0
        self._latencies: list[float] = []
        self._count = 0
        self._began: float | None = None

    def admit(self) -> None:
        """Count one more request, which release() must end; Busy where too many wait already."""
        with self._changed:
            if self._in_flight >= self._most:
                raise Busy(self.info.name, f"{self._most} requests are waiting for it")
            self._in_flight += 1

    def hold(self) -> None:
        """Count one more request that may come to need this model, which release() must end."""
        with self._changed:
            self._in_flight += 1

    def release(self) -> None:
        """Count one request less."""
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()

    def infer(self, inputs: Mapping[str, Array]) -> Arrays:
        """The outputs for *inputs*, once those before it are done; the caller was admitted."""
        with self._turn:
            self._began = began = time.perf_counter()
            try:
                outputs = self._session.infer(inputs)
            finally:
                self._began = None
            self._note((time.perf_counter() - began) * 1000)
            return outputs

    def feed(self, raws: Mapping[str, bytes | memoryview]) -> Fed:
        """What the model is fed with for one raw item; the caller was admitted.

        Raises:
            InputError: it is no item that can be read; the message names the input.
            RawUnavailable: a library that the contract needs is not installed here; the message names the extra.
        """
        pipeline = self.contract.pipeline
        try:
            if pipeline is None:
                raise self.contract.obstacle or DeviceError(f"model {self.info.name!r}", "it has no contract", "Send tensors.")
            with self._feeding:
                # Copied here and not before: of the requests that wait, each holds its body alone.
                return pipeline.feed({name: bytes(raw) for name, raw in raws.items()})
        except DeviceError as error:
            raise RawUnavailable(error.subject, error.problem, error.remedy) from error

    def read(self, outputs: Arrays, fed: Fed) -> Arrays:
        """What the contract reads of the *outputs* for what was *fed*; InputError where they are not as the model declares."""
        assert self.contract.pipeline is not None, "what was fed has a contract"
        with self._feeding:
            return self.contract.pipeline.read(outputs, fed)

    def find_p95(self) -> float | None:
        """The time below which 95 of 100 of the latest inferences stayed, waiting for their turn left out, in ms; None without any."""
        latencies = sorted(self._latencies)
        return latencies[int(0.95 * (len(latencies) - 1))] if latencies else None

    def find_running_s(self) -> float:
        """For how many seconds the inference that is under way has been running; 0 where none is."""
        began = self._began
        return 0.0 if began is None else time.perf_counter() - began

    def _note(self, latency_ms: float) -> None:
        """Keep *latency_ms* in place of the oldest; the caller has the turn."""
        if self._count < WINDOW:
            self._latencies.append(latency_ms)
        else:
            self._latencies[self._count % WINDOW] = latency_ms
        self._count += 1

    def retire(self, timeout: float = DRAIN_S) -> None:
        """Wait until every admitted request has its answer, then give the memory back."""
        with self._changed:
            drained = self._changed.wait_for(lambda: self._in_flight == 0, timeout)
        if drained:
            self._session.close()
        else:
            # A session that is closed under a running request takes the whole process with it.
            log.error("model %s, variant %s: a request did not end in %g s; its memory is kept", self.info.name, self.info.variant, timeout)


@dataclass(frozen=True)
class _Served:
    """What answers under one name: *live*, and while that is on trial, what is behind it."""

    live: LiveModel
    trial: Trial | None = None

    @property
    def models(self) -> tuple[LiveModel, ...]:
        behind = self.trial.behind if self.trial else None
        return (self.live,) if behind is None else (self.live, behind)

    def admit(self) -> None:
        self.live.admit()
        for model in self.models[1:]:
            model.hold()

    def release(self) -> None:
        for model in self.models:
            model.release()


class Lease:
    """The right to one request of a model: whatever answers it stays open as long as the lease.

    *info* is the release that is asked. *raw* says how it takes raw items, or where it takes none how the one behind it does.
    """

    def __init__(self, served: _Served, observer: Observer) -> None:
        self.info = served.live.info
        self.raw = next((model.info.raw for model in served.models if model.info.raw is not None), None)
        self._served = served
        self._observer: Observer | None = observer
        self._began = time.perf_counter()

    def infer(self, inputs: Mapping[str, Array], wanted: Collection[str] = ()) -> Answer:
        """The answer to *inputs*, tensors or raw items, of which those *wanted* are asked for; none means all.

        Raises:
            InputError: an input or an output is not one of the model's, or its runtime cannot run these inputs.
            RawUnavailable: raw items are given, and a library that the contract needs is missing here.
        """
        return self._ask(Question(inputs=inputs, wanted=wanted))

    def infer_item(self, item: bytes | memoryview, wanted: Collection[str] = ()) -> Answer:
        """The answer to one raw *item*, of a model that takes one; raises as infer does."""
        return self._ask(Question(item=item, wanted=wanted))

    def _ask(self, question: Question) -> Answer:
        trial = self._served.trial
        ended = trial.ask(question) if trial else ask(self._served.live, question)
        self._tell(ended.outcome, ended.fed, ended.own)
        if ended.answer is None:
            assert ended.error is not None
            raise ended.error
        return ended.answer

    def refuse(self) -> None:
        """Tell that the request could not be read, unless how it ended was told already."""
        self._tell(Outcome.REFUSED, None, None)

    def _tell(self, outcome: Outcome, inputs: Mapping[str, Array] | None, outputs: Arrays | None) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.on_request(self.info, (time.perf_counter() - self._began) * 1000, outcome, inputs, outputs)


class Serving:
    """The live models by name. *expected* are those without which this device is not ready; *observer* hears of each request."""

    def __init__(self, expected: Collection[str] = (), observer: Observer | None = None) -> None:
        self.expected = frozenset(expected)
        self._observer = observer or Unheard()
        self._models: dict[str, _Served] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            models, self._models = list(self._models.values()), {}
        for served in models:
            _retire(*served.models)

    @property
    def is_ready(self) -> bool:
        """Whether every expected model is live, and at least one is."""
        with self._lock:
            return bool(self._models) and self.expected <= self._models.keys()

    def list_models(self) -> list[ModelInfo]:
        """What is served, by name."""
        with self._lock:
            return [served.live.info for _, served in sorted(self._models.items())]

    def find_model(self, name: str, version: str | None = None) -> ModelInfo:
        """What is served under *name*.

        Raises:
            UnknownModel: there is no such model here, or only another version of it.
            Busy: it belongs here and is not loaded yet.
        """
        with self._lock:
            return self._find(name, version).live.info

    def swap(self, model: LiveModel) -> None:
        """Let *model* answer all requests from now on, and close what did so far when its last is done."""
        self._put(model.info.name, _Served(model))

    def begin_trial(self, model: LiveModel) -> None:
        """Let *model* answer all requests from now on, with what answered so far behind it."""
        name = model.info.name
        with self._lock:
            served = self._models.get(name)
        self._put(name, _Served(model, Trial(model, served.live if served else None)))

    def commit_trial(self, name: str) -> None:
        """Let what is on trial under *name* answer alone from now on. Nothing happens where nothing is on trial."""
        trial = self._find_trial(name)
        if trial is not None:
            self._put(name, _Served(trial.candidate))

    def drop_trial(self, name: str) -> None:
        """Let what is behind the trial of *name* answer again, if there is something. Nothing happens where nothing is on trial."""
        trial = self._find_trial(name)
        if trial is not None:
            self._put(name, _Served(trial.behind) if trial.behind else None)

    def remove(self, name: str) -> None:
        """Serve nothing under *name* any more."""
        self._put(name, None)

    def find_evidence(self, name: str) -> Evidence | None:
        """What the trial of *name* has seen so far; None where nothing is on trial."""
        trial = self._find_trial(name)
        return trial.evidence if trial else None

    @contextmanager
    def leasing(self, name: str, version: str | None = None) -> Iterator[Lease]:
        """The live model for the length of one request: it stays open until the block ends, whatever is swapped meanwhile."""
        with self._lock:
            served = self._find(name, version)
            served.admit()
        lease = Lease(served, self._observer)
        try:
            yield lease
        except InputError:
            lease.refuse()
            raise
        finally:
            served.release()

    def _put(self, name: str, served: _Served | None) -> None:
        """Serve *served* under *name*, and close what it does without."""
        with self._lock:
            old = self._models.pop(name, None)
            if served is not None:
                self._models[name] = served
        kept = served.models if served else ()
        _retire(*(model for model in (old.models if old else ()) if model not in kept))

    def _find_trial(self, name: str) -> Trial | None:
        with self._lock:
            served = self._models.get(name)
        return served.trial if served else None

    def _find(self, name: str, version: str | None) -> _Served:
        served = self._models.get(name)
        if served is None and name in self.expected:
            raise Busy(name, "it is not loaded yet")
        if served is None:
            raise UnknownModel("model", name, self._models)
        for model in served.models:
            if version in (None, model.info.version):
                # Who asks for the version behind a trial by its name gets that one alone.
                return served if model is served.live else _Served(model)
        raise UnknownModel(f"version of {name}", str(version), [model.info.version for model in served.models])


def _retire(*models: LiveModel) -> None:
    for model in models:
        model.retire()


def load_model(bundle: VerifiedBundle, variant: Variant, machine: Machine, threads: int = 1, release: str | None = None) -> LiveModel:
    """Load *variant* and prove it; what is live stays untouched.

    A bundle without a release has the beginning of its manifest's digest as its version.

    Raises:
        GateRefused, InputError: as open_proven says.
        DeviceError: no runtime here loads its format.
    """
    if variant.format not in machine.formats:
        raise DeviceError(release or bundle.root, f"its runtime for {variant.format} is no longer installed", "Install it again, or another variant.")
    runtime = machine.runtime_for(variant.format)
    proven = open_proven(bundle, variant, runtime, threads)
    info = ModelInfo(
        name=bundle.manifest.name,
        version=release.partition("@")[2] if release else bundle.digest.removeprefix("sha256:")[:12],
        release=release,
        digest=bundle.digest,
        variant=variant.id,
        format=variant.format,
        precision=variant.precision,
        runtime=runtime.name,
        runtime_version=runtime.find_version(),
        inputs=bundle.manifest.inputs,
        outputs=bundle.manifest.outputs,
        raw=describe_access(bundle, proven.contract, proven.raw_proof),
    )
    return LiveModel(info, proven.session, contract=proven.contract)
