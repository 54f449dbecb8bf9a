"""The source model with its answers: what every variant is held against."""

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgekit.arrays import Array, Arrays, to_plain
from edgekit.build_request import BuildRequest
from edgekit.conversion import Calibration, SourceLoader, SourceModel, SourceOptions
from edgekit.errors import ConversionError, DeviceError, InputError
from edgekit.golden import GoldenSamples, choose_samples, synthesize_inputs
from edgekit.measuring import IsolatedSession, bound_worker
from edgekit.metrics import find_metric
from edgekit.model_kinds import UNKNOWN_KIND, find_kind
from edgekit.parity import answer_samples, find_range, measure_parity
from edgekit.plugins import SOURCES, find_plugins, load_plugin
from edgekit.runtimes.registry import find_runtime
from edgekit.samples import Evaluation, read_evaluation, read_samples
from edgekit.tensors import TensorSpec

GOLDEN_SAMPLES = 64
#: Golden samples travel to every device: where they or their answers are larger, only half as many are kept.
GOLDEN_BYTES = 8 << 20
#: Samples among which the golden ones are chosen.
POOL = 1024
#: Samples that are made up take at most this much with their answers, where the fewest that are needed do not take more.
POOL_BYTES = 1 << 30
#: The units in which inputs are made up: about 1, as most models want them, and those of a picture's bytes, or of decibels.
GAINS = (1.0, 64.0)
SOURCE = "source model"
#: Seconds within which the source model must be loaded, and within which it must answer one sample.
SOURCE_DEADLINE_S = 60.0
#: The bytes of memory that it may take, whatever its size, and how often its size besides.
SOURCE_MEMORY = 4 << 30
SOURCE_COPIES = 8
#: The largest deviation of an exported model from its own framework, as a share of the output's range: ten times what
#: single precision costs the deepest model that was tried.
WITNESS_DEVIATION = 1e-3
_BATCH_REMEDY = "Export it with the batch as the first axis of each input, and with what never changes as a constant."

Origin = Literal["calibration", "evaluation", "synthetic"]


@dataclass(frozen=True)
class Reference:
    """A source model, its golden samples, and where data was given its value of the task's metric."""

    model: SourceModel
    golden: GoldenSamples
    golden_origin: Origin
    calibration: Calibration | None = None
    evaluation: Evaluation | None = None
    metric: str | None = None
    source_value: float | None = None

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


def consult_source(request: BuildRequest, workspace: Path) -> Reference:
    """Read the source model and the data, and run the one over the other once.

    Raises:
        InputError: the model or the data cannot be used, or the model's answers are too much alike to tell it from another.
    """
    model = load_source(request.source, workspace, request.options)
    check_batch(request.source, model.inputs)
    calibration = None if request.calibration is None else Calibration(read_samples(request.calibration, model.inputs))
    evaluation = None if request.evaluation is None else read_evaluation(request.evaluation, model.inputs)
    with _naming_source(request.source, model), open_source(model) as session:
        check_witness(model, session)
        golden, origin = _find_golden(model, session, calibration, evaluation, request.seed)
        golden.check(request.source)
        if evaluation is None:
            return Reference(model, golden, origin, calibration)
        metric = request.metric or "top1"
        value = find_metric(metric)(answer_samples(session, evaluation.inputs, SOURCE), evaluation.labels)
    return Reference(model, golden, origin, calibration, evaluation, metric, value)


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


def _find_golden(
    model: SourceModel, session: IsolatedSession, calibration: Calibration | None, evaluation: Evaluation | None, seed: int
) -> tuple[GoldenSamples, Origin]:
    """Golden samples of the data that were given, else of those that come with the model, else of made-up ones."""
    pool, origin = _find_pool(model, calibration, evaluation)
    golden = _make_golden(model, session, seed) if pool is None else record_golden(session, pool, seed)
    return golden, origin


def _find_pool(model: SourceModel, calibration: Calibration | None, evaluation: Evaluation | None) -> tuple[Arrays | None, Origin]:
    if calibration is not None and calibration.n >= GOLDEN_SAMPLES // 2:
        return {spec.name: calibration.arrays[spec.name] for spec in model.inputs}, "calibration"
    if evaluation is not None:
        return evaluation.inputs, "evaluation"
    return None if model.samples is None else dict(model.samples), "synthetic"


def _make_golden(model: SourceModel, session: IsolatedSession, seed: int) -> GoldenSamples:
    """Golden samples of made-up inputs in the first unit to which the model gives different answers."""
    for gain in GAINS:
        pool = synthesize_inputs(model.inputs, count_synthetic(model), np.random.default_rng(seed), gain)
        golden = record_golden(session, pool, seed)
        if golden.is_telling:
            break
    return golden


def record_golden(session: IsolatedSession, pool: Arrays, seed: int) -> GoldenSamples:
    """Samples of *pool* that cover as many different answers as there are, with the answers that *session* gives."""
    rng = np.random.default_rng(seed)
    few = _take(pool, np.sort(rng.permutation(_count(pool))[:POOL]))
    answers = {name: to_plain(array) for name, array in answer_samples(session, few, SOURCE).items()}
    chosen = np.array(choose_samples(answers, _golden_count(few, answers), rng))
    return GoldenSamples(_take(few, chosen), _take(answers, chosen))


def count_synthetic(model: SourceModel) -> int:
    """How many samples to make up: fewer where they, or the answers to them, are large, and never too few to be golden."""
    each = sum(8 * math.prod(size for size in spec.shape[1:] if isinstance(size, int)) for spec in (*model.inputs, *model.outputs))
    return max(GOLDEN_SAMPLES // 2, min(POOL // 2, POOL_BYTES // max(each, 1)))


def _golden_count(pool: Arrays, answers: Arrays) -> int:
    each = sum(array[0].nbytes for array in (*pool.values(), *answers.values()))
    return GOLDEN_SAMPLES if each * GOLDEN_SAMPLES <= GOLDEN_BYTES else GOLDEN_SAMPLES // 2


def _count(arrays: Arrays) -> int:
    return len(next(iter(arrays.values())))


def _take(arrays: Arrays, rows: Array) -> Arrays:
    return {name: array[rows] for name, array in arrays.items()}
