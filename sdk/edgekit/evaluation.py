"""How good a bundle's variants are on data: each answers the same samples in its own runtime, by the bundle's contract."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from edgekit.answering import answer_items
from edgekit.benchmark import describe_measurement, make_session, measure_latencies, take_sample
from edgekit.bundles import VerifiedBundle
from edgekit.contract import Classify, Detect, Processing
from edgekit.datasets.base import Dataset, Truth
from edgekit.datasets.npz import is_ready
from edgekit.datasets.registry import open_dataset
from edgekit.datasets.sampling import describe_use
from edgekit.datasets.sampling import take_sample as take_keys
from edgekit.datasets.streaming import Prepared, Skip, feed_samples
from edgekit.errors import ConversionError, DeviceError, InputError
from edgekit.gate import choose_unmeasured
from edgekit.hardware import describe_hardware
from edgekit.manifest import DataUse, Measurement, Skipped, Variant
from edgekit.measuring import IsolatedSession
from edgekit.metrics.base import Answers, Better, Metric, Truths
from edgekit.metrics.intervals import Interval, measure_interval
from edgekit.metrics.registry import choose_metric, find_metric
from edgekit.processing.answer_presets import count_classes
from edgekit.processing.pipeline import ContractPipeline, open_pipeline
from edgekit.records import Digest, Name, Record
from edgekit.targets import find_target

#: Called with what is being done, how many steps are done, and how many there are.
Progress = Callable[[str, int, int], None]

#: Stands for every variant.
ALL = "all"
#: Boxes below this score change mean average precision by next to nothing; published figures count from about there.
_LOW_THRESHOLD = 0.05


@dataclass(frozen=True)
class EvaluationRequest:
    """What is asked: *data*, of the kind *kind* where that is not seen, of which *samples* are taken by *seed*, or all.

    *variants* are ids, ALL for each of them, or none for the one that this machine would take. *metrics* are names, or none for
    the usual one. *threads* is how many a runtime may use.
    """

    data: Path
    variants: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    kind: str | None = None
    samples: int | None = None
    seed: int = 0
    threads: int = 1


class Measured(Record, frozen=True, kw_only=True):
    """What *metric* is on *n* items, and where it lies with 95 % confidence."""

    metric: str
    value: float
    interval: Interval
    n: Annotated[int, Meta(ge=1)]
    better: Better


class EvaluatedVariant(Record, frozen=True, kw_only=True):
    """One variant: what each metric is, and what it cost here."""

    id: Name
    metrics: tuple[Measured, ...]
    cost: Measurement


class Evaluation(Record, frozen=True, kw_only=True):
    """What the variants of the bundle *name* are on *data*. *skipped* are samples that could not be used, *missing* variants.

    *remarks* say what is to be known of the figures, a sentence each.
    """

    name: Name
    manifest_digest: Digest
    data: DataUse
    variants: tuple[EvaluatedVariant, ...]
    skipped: tuple[Skip, ...] = ()
    missing: tuple[Skipped, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluationData:
    """Samples of *dataset* as a bundle's contract makes them: *keys* were taken, and *prepared* has those that could be used."""

    dataset: Dataset
    pipeline: ContractPipeline
    keys: Sequence[str]
    prepared: Prepared

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of classes by number: the contract's, else those of the data."""
        return self.pipeline.contract.labels or self.dataset.classes

    def ask(self, session: IsolatedSession, subject: str, progress: Progress) -> Answers:
        """What the model in *session*, called *subject*, answers to all samples; raises as answer_items does."""
        return answer_items(session, self.prepared, self.pipeline, subject, self.classes, progress)

    def describe(self, seed: int) -> DataUse:
        """The record of the samples that were taken."""
        return describe_use(self.dataset, "evaluation", self.keys, skipped=len(self.prepared.skipped), seed=seed)


def evaluate_bundle(bundle: VerifiedBundle, request: EvaluationRequest, progress: Progress) -> Evaluation:
    """Measure variants of *bundle* on the data of *request*; answers and timings are of processes of their own.

    Raises:
        InputError: the data cannot be used, or do not fit the metric; UnknownName: there is no such variant or metric.
        DeviceError: no variant runs here, or a library is missing.
    """
    metrics = find_metrics(bundle, request.metrics)
    chosen = choose_variants(bundle, request.variants)
    with preparing(bundle, request, progress) as data, contextlib.ExitStack() as stack:
        hall = _Hall(bundle, request, data, stack, progress)
        truths, remarks = hall.find_truths(metrics)
        figures, missing = hall.examine(chosen, metrics, truths)
        costs = hall.measure_costs(figures)
        return Evaluation(
            name=bundle.manifest.name,
            manifest_digest=bundle.digest,
            data=data.describe(request.seed),
            variants=tuple(EvaluatedVariant(id=name, metrics=measured, cost=costs[name]) for name, measured in figures.items()),
            skipped=data.prepared.skipped,
            missing=tuple(missing),
            remarks=(*remarks, *remark_contract(bundle, metrics), *remark_classes(bundle, data.dataset)),
        )


class _Hall:
    """Where variants are examined: sessions stay open until *stack* ends, so that all are timed in turn."""

    def __init__(
        self, bundle: VerifiedBundle, request: EvaluationRequest, data: EvaluationData, stack: contextlib.ExitStack, progress: Progress
    ) -> None:
        self._bundle, self._request, self._data, self._stack, self._progress = bundle, request, data, stack, progress
        self._sessions: dict[str, IsolatedSession] = {}

    def find_truths(self, metrics: Sequence[Metric]) -> tuple[dict[str, Truths], tuple[str, ...]]:
        """For each metric what is true of the items, and what is to be known of that."""
        known = self._data.prepared.truths
        needing = [metric for metric in metrics if metric.needs_source(known)]
        told: dict[str, Truths] = {metric.name: check_truths(self._data, known) for metric in metrics if metric not in needing}
        if not needing:
            return told, ()
        source = find_source_variant(self._bundle)
        answers = self._ask(source)
        recalled = {metric.name: metric.recall(answers) for metric in needing if metric.recall is not None}
        return told | recalled, (remark_source(needing, source),)

    def examine(
        self, chosen: Sequence[Variant], metrics: Sequence[Metric], truths: Mapping[str, Truths]
    ) -> tuple[dict[str, tuple[Measured, ...]], list[Skipped]]:
        """For each of *chosen* what the metrics are, and those that do not run here with the reason.

        Raises:
            DeviceError: none of them runs here.
        """
        figures: dict[str, tuple[Measured, ...]] = {}
        missing: list[Skipped] = []
        for variant in chosen:
            try:
                answers = self._ask(variant)
            except (DeviceError, ConversionError, InputError) as error:
                missing.append(Skipped(id=variant.id, format=variant.format, precision=variant.precision, reason=str(error)))
                continue
            figures[variant.id] = tuple(self._measure(metric, answers, truths[metric.name]) for metric in metrics)
        if not figures:
            reasons = "; ".join(f"{one.id}: {one.reason}" for one in missing)
            raise DeviceError(self._bundle.root, f"no variant of it that was asked for runs here: {reasons}", "See edgekit doctor.")
        return figures, missing

    def measure_costs(self, names: Mapping[str, object]) -> dict[str, Measurement]:
        """What each of the variants *names* costs on this machine, for the first sample."""
        sessions = {name: self._sessions[name] for name in names}
        first = {name: array[:1] for name, array in self._data.prepared.inputs.items()}
        sample = take_sample(first, self._bundle.manifest.inputs)
        latencies = measure_latencies(sessions, sample, progress=lambda done, total: self._progress("timing the variants", done, total))
        hardware = describe_hardware()
        return {name: describe_measurement(session, latencies[name], hardware) for name, session in sessions.items()}

    def _ask(self, variant: Variant) -> Answers:
        if variant.id not in self._sessions:
            self._sessions[variant.id] = self._stack.enter_context(make_session(self._bundle, variant, self._request.threads))
        return self._data.ask(self._sessions[variant.id], variant.id, self._progress)

    def _measure(self, metric: Metric, answers: Answers, truths: Truths) -> Measured:
        value = metric.measure(answers, truths)
        interval = measure_interval(metric, answers, truths, seed=self._request.seed, progress=self._progress)
        return Measured(metric=metric.name, value=value, interval=interval, n=len(truths), better=metric.better)


@contextlib.contextmanager
def preparing(bundle: VerifiedBundle, request: EvaluationRequest, progress: Progress, keys: Sequence[str] | None = None) -> Iterator[EvaluationData]:
    """The samples that *request* takes, or those of it called *keys*, as the contract of *bundle* makes them, on disk for as long as the block runs.

    Raises:
        InputError: the data cannot be used, or the bundle has no contract by which they become tensors.
        DeviceError: a library that the contract needs is missing, or the disk is full.
    """
    manifest, contract = bundle.manifest, bundle.manifest.processing
    pipeline = open_pipeline(contract or Processing(), manifest.inputs, manifest.outputs, bundle.root)
    dataset = open_dataset(request.data, kind=request.kind, contract=contract)
    if contract is None and not is_ready(dataset):
        problem = f"it is a set of the kind {dataset.kind}, and {bundle.root} has no contract by which its samples become tensors"
        raise InputError(
            dataset.path, problem, "Give an .npz with the model's inputs, or make the bundle again with edgekit convert --task or --processing."
        )
    check_classes(bundle, dataset)
    known = set(dataset.keys)
    chosen = take_keys(dataset, request.samples, request.seed) if keys is None else [key for key in keys if key in known]
    with tempfile.TemporaryDirectory(prefix="edgekit-") as directory:
        yield EvaluationData(dataset, pipeline, chosen, feed_samples(dataset, chosen, pipeline, Path(directory), progress))


def find_metrics(bundle: VerifiedBundle, names: Sequence[str]) -> list[Metric]:
    """The metrics called *names*, each once, or the usual one for the bundle's contract; raises as find_metric does."""
    return [find_metric(name) for name in dict.fromkeys(names or (choose_metric(bundle.manifest.processing),))]


def choose_variants(bundle: VerifiedBundle, ids: Sequence[str]) -> list[Variant]:
    """The variants called *ids*, all, or where none is named the one that is the default on this machine, or the likeliest that runs here.

    Raises:
        UnknownName: there is no such variant.
        DeviceError: none is named, and none runs here.
    """
    if ids:
        return list(bundle.variants) if ALL in ids else [bundle.manifest.find_variant(one) for one in dict.fromkeys(ids)]
    target = find_target(describe_hardware())
    running = [variant for variant in bundle.variants if _runs_here(bundle, variant)]
    default = bundle.manifest.defaults.get(target)
    choice = default if default is not None and default.variant in [variant.id for variant in running] else choose_unmeasured(running, target)
    if choice is None:
        raise DeviceError(bundle.root, "no variant of it runs here", "Run edgekit doctor to see which runtimes are missing.")
    return [bundle.manifest.find_variant(choice.variant)]


def find_source_variant(bundle: VerifiedBundle) -> Variant:
    """The variant that answers as the source model does: one of full precision that runs here.

    Raises:
        InputError: there is none.
    """
    for variant in bundle.variants:
        if variant.precision == "fp32" and _runs_here(bundle, variant):
            return variant
    problem = "the data have no vectors to hold answers against, and no variant of full precision that runs here has those of the source model"
    raise InputError(bundle.root, problem, "Give the source model's own vectors, as an array labels (n, size) in an .npz.")


def check_truths(data: EvaluationData, truths: Sequence[Truth | None]) -> list[Truth]:
    """*truths*, or InputError where something is true of no item."""
    known = [truth for truth in truths if truth is not None]
    if len(known) < len(truths):
        problem = f"{len(truths) - len(known)} of its {len(truths)} samples have no label, and a metric needs one of each"
        raise InputError(data.dataset.path, problem, "Label them: an array labels in an .npz, a folder for each class, or a column label.")
    return known


def check_classes(bundle: VerifiedBundle, dataset: Dataset) -> None:
    """Refuse data that name another number of classes than the model has, where the contract does not say which is which."""
    contract, found = bundle.manifest.processing, len(dataset.classes)
    answer = None if contract is None else contract.answer
    if not _is_named_by_data(contract, dataset):
        return
    rows = [spec for spec in bundle.manifest.outputs if not isinstance(answer, Classify) or spec.name == answer.output]
    counts = {count_classes(spec) for spec in rows} - {None, found}
    if len(rows) == 1 and counts:
        problem = f"it has {found} classes by name, the model has {counts.pop()}, and no contract says which is which"
        raise InputError(dataset.path, problem, "Give labels as numbers, or make the bundle again with a contract that has the labels in order.")


def remark_classes(bundle: VerifiedBundle, dataset: Dataset) -> Iterator[str]:
    """Whence the numbers of classes are, where that is only taken to be so, a sentence."""
    if _is_named_by_data(bundle.manifest.processing, dataset):
        first = ", ".join(f"{number} {name}" for number, name in enumerate(dataset.classes[:3]))
        more = ", …" if len(dataset.classes) > 3 else ""
        yield f"the contract does not name the classes, so they are taken to be numbered as the data have them: {first}{more}"


def _is_named_by_data(contract: Processing | None, dataset: Dataset) -> bool:
    """Whether classes have their names, and by them their numbers, from the data alone."""
    answer = None if contract is None else contract.answer
    return bool(dataset.classes) and not (contract and contract.labels) and isinstance(answer, Classify | None)


def remark_source(metrics: Sequence[Metric], source: Variant) -> str:
    """That answers are held against those of the variant *source*, a sentence."""
    return f"{', '.join(metric.name for metric in metrics)}: held against the answers of {source.id}, since the data have no vectors"


def remark_contract(bundle: VerifiedBundle, metrics: Sequence[Metric]) -> Iterator[str]:
    """What the contract does to figures, a sentence each."""
    answer = None if bundle.manifest.processing is None else bundle.manifest.processing.answer
    names = [metric.name for metric in metrics if metric.name.startswith("map")]
    if names and isinstance(answer, Detect) and answer.threshold > _LOW_THRESHOLD:
        yield f"{', '.join(names)}: the contract leaves boxes below {answer.threshold:g} out, which published figures count"


def _runs_here(bundle: VerifiedBundle, variant: Variant) -> bool:
    try:
        make_session(bundle, variant, threads=1)
    except DeviceError:
        return False
    return True
