"""The source model with its answers: what every variant is held against."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.box_parity import BoxReader, prepare_box_reader
from edgekit.build_data import CALIBRATION_SAMPLES, DataSet, find_truths, judge_data, open_data, prepare_data
from edgekit.build_request import BuildRequest, Progress
from edgekit.contract_check import CONTRACT_REMEDY, Trial, check_contract
from edgekit.contract_choice import Choice, adopt_labels, choose_contract
from edgekit.conversion import Calibration, SourceLoader, SourceModel, SourceOptions
from edgekit.errors import ConversionError, DeviceError, InputError
from edgekit.golden import GoldenSamples
from edgekit.golden_choice import ROLES, SOURCE, Origin, find_golden
from edgekit.golden_raw import RawItem, record_items
from edgekit.manifest import DataUse
from edgekit.measuring import IsolatedSession, bound_worker
from edgekit.metrics.base import Metric, Truths
from edgekit.metrics.registry import choose_metric, find_metric
from edgekit.model_kinds import UNKNOWN_KIND, find_kind
from edgekit.parity import answer_samples, find_range, measure_parity
from edgekit.plugins import SOURCES, find_plugins, load_plugin
from edgekit.raw_items import choose_items, make_up_items, spread_keys
from edgekit.runtimes.registry import find_runtime
from edgekit.tensors import TensorSpec

#: Seconds within which the source model must be loaded, and within which it must answer one sample.
SOURCE_DEADLINE_S = 60.0
#: The bytes of memory that it may take, whatever its size, and how often its size besides.
SOURCE_MEMORY = 4 << 30
SOURCE_COPIES = 8
#: The largest deviation of an exported model from its own framework, as a share of the output's range: ten times what
#: single precision costs the deepest model that was tried.
WITNESS_DEVIATION = 1e-3
_BATCH_REMEDY = "Export it with the batch as the first axis of each input, and with what never changes as a constant."


@dataclass(frozen=True)
class Reference:
    """A source model, its golden samples, the contract, and where data was given its value of the task's metric.

    *data* are the sets that took part, and *truths* is what is true of each item of *evaluation*. *boxes* reads a detector's
    boxes. *raw* are the golden raw items with what the source answers. *warnings* say what is to be known of all that.
    """

    model: SourceModel
    golden: GoldenSamples
    golden_origin: Origin
    choice: Choice
    calibration: Calibration | None = None
    evaluation: DataSet | None = None
    metric: str | None = None
    truths: Truths = ()
    source_value: float | None = None
    boxes: BoxReader | None = None
    raw: tuple[RawItem, ...] = ()
    raw_origin: Origin | None = None
    data: tuple[DataUse, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def ranges(self) -> dict[str, float]:
        """For each output, the distance from its lowest to its highest finite golden value."""
        return {name: find_range(array) for name, array in self.golden.outputs.items()}


def find_source(path: Path) -> SourceLoader:
    """The loader that accepts *path*, or InputError that says which sources are read."""
    loaders: dict[str, SourceLoader] = {name: load_plugin(SOURCES, name)() for name in find_plugins(SOURCES)}
    for loader in loaders.values():
        if loader.accepts(path):
            return loader
    if not path.exists():
        raise InputError(path, "there is no such file", "Check the path.")
    kind = find_kind(path) or UNKNOWN_KIND
    raise InputError(path, f"it is {kind.name}, which cannot be read here", f"{kind.remedy} Sources that are read: {', '.join(loaders) or 'none'}.")


def load_source(path: Path, workspace: Path, options: SourceOptions) -> SourceModel:
    """The model at *path*, read by the loader that accepts it.

    Raises:
        InputError: nobody reads it, this user may not, or it is damaged; the message names the file.
    """
    try:
        return find_source(path).load(path, workspace, options)
    except PermissionError as error:
        named = Path(os.fsdecode(error.filename or ""))
        # It may be any file of a directory, or one beside the model.
        if not named.absolute().is_relative_to(path.absolute().parent):
            raise
        raise InputError(named, f"it cannot be read: {error.strerror}", "Let this user read it, or give a copy.") from error


def _show_nothing(_activity: str, _done: int, _total: int) -> None:
    """Shows no progress."""


def consult_source(request: BuildRequest, workspace: Path, progress: Progress = _show_nothing) -> Reference:
    """Read the source model and the data, and run the one over the other once. What is kept of the data lies in *workspace*.

    Raises:
        InputError: the model, the contract or the data cannot be used, or the model's answers are too much alike to tell it from another.
    """
    model = load_source(request.source, workspace, request.options)
    check_batch(request.source, model.inputs)
    choice, sets = gather(request, model, workspace, progress)
    with _naming_source(request.source, model), open_source(model) as session:
        check_witness(model, session)
        return _Consultation(request, model, session, choice, sets, progress).run()


def gather(request: BuildRequest, model: SourceModel, workspace: Path, progress: Progress) -> tuple[Choice, dict[str, DataSet]]:
    """The contract of a build, and by role the sets of data as it makes them."""
    choice = choose_contract(request, model, workspace / "contract")
    if request.golden_raw and choice.contract is None:
        raise InputError("--golden-raw", "there is no contract by which an item would become tensors", "Give --task TASK or --processing FILE.")
    given = {"calibration": request.calibration, "evaluation": request.evaluation}
    opened = {role: open_data(path, choice.contract) for role in ROLES if (path := given[role]) is not None}
    for dataset in reversed(opened.values()):
        choice = adopt_labels(choice, model, dataset)
    fed: dict[str, DataSet] = {
        role: prepare_data(dataset, role, request, choice, workspace / f"{role}-data", progress) for role, dataset in opened.items()
    }
    return choice, fed


@dataclass(frozen=True)
class _Consultation:
    """Everything that is asked of a source model, opened in *session*, in one build."""

    request: BuildRequest
    model: SourceModel
    session: IsolatedSession
    choice: Choice
    sets: Mapping[str, DataSet]
    progress: Progress

    def run(self) -> Reference:
        request, model, choice = self.request, self.model, self.choice
        calibration, evaluation = self.sets.get("calibration"), self.sets.get("evaluation")
        metric = None if evaluation is None else find_metric(request.metric or choose_metric(choice.contract))
        truths, value = ((), None) if metric is None or evaluation is None else self._measure(metric, evaluation)
        doubts = () if metric is None or evaluation is None else self._check_contract(metric, evaluation)
        golden, rows, origin = self._find_golden(doubts)
        raw, raw_origin = self._record_raw(origin, rows)
        used = () if origin == "synthetic" else (self.sets[origin].describe_golden(rows),)
        return Reference(
            model=model,
            golden=golden,
            golden_origin=origin,
            choice=choice,
            calibration=None if calibration is None else calibration.to_calibration(request.samples or CALIBRATION_SAMPLES),
            evaluation=evaluation,
            metric=None if metric is None else metric.name,
            truths=truths,
            source_value=value,
            boxes=prepare_box_reader(choice.contract, model.outputs),
            raw=raw,
            raw_origin=raw_origin,
            data=(*(one.use for one in self.sets.values()), *used),
            digests={role: one.digest for role, one in self.sets.items()},
            warnings=(*choice.warnings, *doubts, *self._warn(raw_origin, len(raw))),
        )

    def _measure(self, metric: Metric, evaluation: DataSet) -> tuple[Truths, float]:
        """What is true of each item, and the source model's value of *metric*."""
        answers = evaluation.ask(self.session, SOURCE, self.progress)
        truths = find_truths(evaluation, metric, answers)
        return truths, metric.measure(answers, truths)

    def _find_golden(self, doubts: Sequence[str]) -> tuple[GoldenSamples, list[int], Origin]:
        """Golden samples; where answers are too much alike to be golden, *doubts* of the contract say why they may be."""
        try:
            golden, rows, origin = find_golden(self.model, self.session, self.sets, self.request.seed)
            golden.check(self.request.source)
        except InputError as error:
            if not doubts:
                raise
            raise InputError(self.choice.origin or error.subject, f"{error.problem}, and {doubts[0]}", CONTRACT_REMEDY) from error
        return golden, rows, origin

    def _check_contract(self, metric: Metric, evaluation: DataSet) -> tuple[str, ...]:
        return check_contract(Trial(self.choice, self.model, self.session, evaluation, metric), self.progress)

    def _warn(self, raw_origin: Origin | None, items: int) -> Iterator[str]:
        for data in self.sets.values():
            yield from judge_data(data)
        if raw_origin not in (None, "synthetic"):
            yield f"{items} golden raw items are of the {raw_origin} data, and travel to every device"

    def _record_raw(self, origin: Origin, rows: Sequence[int]) -> tuple[tuple[RawItem, ...], Origin | None]:
        """Golden raw items: of the user's data where these may travel, else made-up ones; none without a contract."""
        choice, seed = self.choice, self.request.seed
        if choice.contract is None or not choice.contract.inputs:
            return (), None
        items, raw_origin = self._choose_items(origin, rows) if self.request.golden_raw else (make_up_items(choice.pipeline, seed), "synthetic")
        recorded = record_items(choice.pipeline, self.session, items, SOURCE)
        return (recorded, raw_origin) if recorded else ((), None)

    def _choose_items(self, origin: Origin, rows: Sequence[int]) -> tuple[list[dict[str, bytes | str]], Origin]:
        """Items of the set that the golden samples are of, or where they are made up of the first that has any."""
        for role in (origin, *ROLES):
            data = self.sets.get(role)
            if data is not None and data.is_raw:
                keys = spread_keys(data.find_keys(rows if role == origin else range(data.prepared.n)), self.request.seed)
                return choose_items(self.choice.pipeline.contract, [data.dataset.read(key).raws for key in keys]), role
        raise InputError("--golden-raw", "there is no data with raw items", "Give --calibration or --evaluation with pictures, sounds or texts.")


def check_batch(subject: Path, inputs: Sequence[TensorSpec]) -> None:
    """Refuse inputs that do not all have the samples along their first axis: golden samples could not be matched with answers."""
    for spec in inputs:
        if not spec.shape:
            raise InputError(subject, f"its input {spec} has no axis for samples", _BATCH_REMEDY)
    # A first axis of one is a batch of one, whatever the others take.
    sizes = {"any" if isinstance(spec.shape[0], str) else spec.shape[0] for spec in inputs} - {1}
    if len(sizes) > 1:
        raise InputError(subject, f"its inputs take different numbers of samples: {'; '.join(map(str, inputs))}", _BATCH_REMEDY)


def open_source(model: SourceModel) -> IsolatedSession:
    """The source model itself, to be run in a process of its own, whose time and memory are bounded: it may come from anybody."""
    runtime = find_runtime(model.artifact.format).name
    command = bound_worker(SOURCE_MEMORY + SOURCE_COPIES * model.artifact.size)
    return IsolatedSession(model.path, model.artifact, model.inputs, model.outputs, runtime, timeout_s=SOURCE_DEADLINE_S, command=command)


@contextlib.contextmanager
def _naming_source(source: Path, model: SourceModel) -> Iterator[None]:
    """Tell of a model that does not run under the name that the user gave, not under that of a file in the workspace."""
    try:
        yield
    except (DeviceError, InputError) as error:
        # What a runtime lacks is not the model's fault; what the model did to the process that ran it is.
        if not error.subject.startswith(str(model.path)):
            raise
        raise InputError(source, f"the source model does not run: {error.problem}", error.remedy) from error


def check_witness(model: SourceModel, session: IsolatedSession) -> None:
    """Hold what was exported of *model* against the answers that its own framework gave.

    Raises:
        ConversionError: it gives other answers; the message names the output.
    """
    if model.witness is None:
        return
    parity = measure_parity(model.witness.outputs, answer_samples(session, model.witness.inputs, SOURCE), SOURCE)
    for name, deviation in parity.outputs.items():
        reach = find_range(model.witness.outputs[name])
        if deviation.max_abs > WITNESS_DEVIATION * max(reach, 1e-6):
            off = f"output {name!r} is off by {deviation.max_abs:.3g}, and its range is {reach:.3g}"
            problem = f"what was exported of it gives other answers than {model.format}: {off}"
            raise ConversionError(str(model.files[0]), problem, "Export it to ONNX yourself, and give that file.")
