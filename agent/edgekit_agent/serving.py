"""The models that answer requests now, and how one takes the place of another without a request noticing."""

import logging
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from edgekit.arrays import Array, Arrays
from edgekit.bundles import VerifiedBundle
from edgekit.errors import DeviceError, UnknownName
from edgekit.manifest import Variant
from edgekit.records import Digest, Record
from edgekit.runtimes.sessions import InferenceSession
from edgekit.tensors import TensorSpec
from edgekit_agent.inventory import Machine
from edgekit_agent.proving import open_proven

#: Requests that may wait for a model while it runs another; at 20 ms each, the last waits a third of a second.
QUEUE = 16
#: Seconds after which a request that does not end is taken for hung, and its session is left to the end of the process.
DRAIN_S = 30.0

log = logging.getLogger(__name__)


class Busy(DeviceError):
    """The model cannot take this request now, and may a little later."""

    def __init__(self, model: str, problem: str) -> None:
        super().__init__(f"model {model!r}", problem, "Try again in a second.")


class UnknownModel(UnknownName):
    """No such model is served here, or not in that version."""


class ModelInfo(Record, frozen=True, kw_only=True):
    """What is served under a model's name. *release* is None where a bundle is served that was never released."""

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


class LiveModel:
    """One proven variant. It runs one request at a time, since not every runtime's session is safe for more."""

    def __init__(self, info: ModelInfo, session: InferenceSession, queue: int = QUEUE) -> None:
        self.info = info
        self._session = session
        self._most = 1 + queue
        self._turn = threading.Lock()
        self._changed = threading.Condition()
        self._in_flight = 0

    def admit(self) -> None:
        """Count one more request, which release() must end; Busy where too many wait already."""
        with self._changed:
            if self._in_flight >= self._most:
                raise Busy(self.info.name, f"{self._most} requests are waiting for it")
            self._in_flight += 1

    def release(self) -> None:
        """Count one request less."""
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()

    def infer(self, inputs: Mapping[str, Array]) -> Arrays:
        """The outputs for *inputs*, once those before it are done; the caller was admitted."""
        with self._turn:
            return self._session.infer(inputs)

    def retire(self, timeout: float = DRAIN_S) -> None:
        """Wait until every admitted request has its answer, then give the memory back."""
        with self._changed:
            drained = self._changed.wait_for(lambda: self._in_flight == 0, timeout)
        if drained:
            self._session.close()
        else:
            # A session that is closed under a running request takes the whole process with it.
            log.error("model %s, variant %s: a request did not end in %g s; its memory is kept", self.info.name, self.info.variant, timeout)


class Serving:
    """The live models by name. *expected* are those without which this device is not ready."""

    def __init__(self, expected: Collection[str] = ()) -> None:
        self.expected = frozenset(expected)
        self._models: dict[str, LiveModel] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            models, self._models = list(self._models.values()), {}
        for model in models:
            model.retire()

    @property
    def is_ready(self) -> bool:
        """Whether every expected model is live, and at least one is."""
        with self._lock:
            return bool(self._models) and self.expected <= self._models.keys()

    def list_models(self) -> list[ModelInfo]:
        """What is served, by name."""
        with self._lock:
            return [model.info for _, model in sorted(self._models.items())]

    def find_model(self, name: str, version: str | None = None) -> ModelInfo:
        """What is served under *name*.

        Raises:
            UnknownModel: there is no such model here, or only another version of it.
            Busy: it belongs here and is not loaded yet.
        """
        with self._lock:
            return self._find(name, version).info

    def swap(self, model: LiveModel) -> None:
        """Let *model* answer all requests from now on, and close the one that did so far when its last is done."""
        with self._lock:
            old = self._models.get(model.info.name)
            self._models[model.info.name] = model
        if old is not None:
            old.retire()

    @contextmanager
    def leasing(self, name: str, version: str | None = None) -> Iterator[LiveModel]:
        """The live model for the length of one request: it stays open until the block ends, whatever is swapped meanwhile."""
        with self._lock:
            model = self._find(name, version)
            model.admit()
        try:
            yield model
        finally:
            model.release()

    def _find(self, name: str, version: str | None) -> LiveModel:
        model = self._models.get(name)
        if model is None and name in self.expected:
            raise Busy(name, "it is not loaded yet")
        if model is None:
            raise UnknownModel("model", name, self._models)
        if version not in (None, model.info.version):
            raise UnknownModel(f"version of {name}", str(version), [model.info.version])
        return model


def load_model(bundle: VerifiedBundle, variant: Variant, machine: Machine, threads: int = 1, release: str | None = None) -> LiveModel:
    """Load *variant* and prove it; raises as open_proven does, and what is live stays untouched.

    A bundle without a release has the beginning of its manifest's digest as its version.
    """
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
    )
    return LiveModel(info, proven.session)
