"""The data of a build: samples are taken of what the user has, streamed through the contract, and looked at."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.answering import answer_items
from edgekit.build_request import BuildRequest, Progress
from edgekit.contract import Processing
from edgekit.contract_choice import Choice
from edgekit.conversion import Calibration
from edgekit.datasets.base import Dataset
from edgekit.datasets.judging import judge_calibration
from edgekit.datasets.npz import is_ready
from edgekit.datasets.registry import open_dataset
from edgekit.datasets.sampling import Role, describe_use, digest_dataset, take_sample
from edgekit.datasets.streaming import Prepared, feed_samples
from edgekit.errors import InputError
from edgekit.files import digest_file
from edgekit.manifest import DataUse
from edgekit.metrics.base import Answers, Metric, Truths
from edgekit.parity import Answering
from edgekit.processing.pipeline import ContractPipeline

#: Samples that are taken to calibrate by where nobody says how many: more change ranges by little (docs/guides/converting.md).
CALIBRATION_SAMPLES = 300
_CONTRACT = "Say how: --task TASK for the usual way, or --processing FILE."


@dataclass(frozen=True)
class DataSet:
    """Samples of *dataset* as *pipeline* makes them, in files on disk."""

    dataset: Dataset
    pipeline: ContractPipeline
    prepared: Prepared
    use: DataUse

    def ask(self, session: Answering, subject: str, progress: Progress | None = None) -> Answers:
        """What the model in *session*, called *subject*, answers to all samples; raises as answer_items does."""
        classes = self.pipeline.contract.labels or self.dataset.classes
        return answer_items(session, self.prepared, self.pipeline, subject, classes, progress)

    @property
    def digest(self) -> str:
        """What the set is, for those who want to make the same bundle again."""
        return digest_data(self.dataset, [*(item.key for item in self.prepared.items), *(skip.key for skip in self.prepared.skipped)])

    @property
    def is_raw(self) -> bool:
        """Whether its samples go through the contract, and are no tensors already."""
        return not is_ready(self.dataset)

    def to_calibration(self, most: int) -> Calibration:
        """Its rows to calibrate by: where an item gives several, evenly spread ones, so that there are no more than *most*."""
        step = max(1, -(-self.prepared.n // most))
        return Calibration({name: array[::step] for name, array in self.prepared.inputs.items()})

    def find_keys(self, rows: Sequence[int]) -> list[str]:
        """The keys of the items whose rows are *rows*, in order and each once."""
        starts = [item.start for item in self.prepared.items]
        return list(dict.fromkeys(self.prepared.items[bisect_right(starts, row) - 1].key for row in rows))

    def describe_golden(self, rows: Sequence[int]) -> DataUse:
        """The record of golden samples that are its *rows*."""
        return describe_use(self.dataset, "golden", self.find_keys(rows), seed=self.use.seed)


def find_truths(data: DataSet, metric: Metric, answers: Answers) -> Truths:
    """What is true of each item of evaluation *data*: its labels, or where *metric* is about vectors the source model's own *answers*.

    Raises:
        InputError: samples have no label, and the metric needs one of each.
    """
    truths = data.prepared.truths
    if metric.recall is not None and metric.needs_source(truths):
        return metric.recall(answers)
    known = [truth for truth in truths if truth is not None]
    if len(known) < len(truths):
        problem = f"{len(truths) - len(known)} of its {len(truths)} samples have no label, and {metric.name} needs one of each"
        raise InputError(data.dataset.path, problem, "Label them: an array labels in an .npz, a folder for each class, or a column label.")
    return known


def open_data(path: Path, contract: Processing | None) -> Dataset:
    """The set of data at *path*; InputError where its samples need a contract to become tensors and there is none."""
    dataset = open_dataset(path, contract=contract)
    if contract is None and not is_ready(dataset):
        problem = f"it is a set of the kind {dataset.kind}, and nothing says how its samples become the model's inputs"
        raise InputError(path, problem, _CONTRACT)
    return dataset


def choose_keys(dataset: Dataset, role: Role, request: BuildRequest) -> list[str]:
    """The samples of *dataset* that *request* takes for *role*."""
    usual = CALIBRATION_SAMPLES if role == "calibration" else None
    return take_sample(dataset, request.samples or usual, request.seed)


def digest_data(dataset: Dataset, keys: Sequence[str]) -> str:
    """The digest of a set: that of its one file where one holds all, else that of what the samples *keys* are made of."""
    if dataset.files == (dataset.path,) and dataset.find_file(dataset.keys[0]) is None:
        return digest_file(dataset.path)
    # Sorted, since those that were skipped are told apart only after they were read, and a plan does not read them all.
    return digest_dataset(dataset, sorted(keys))


def prepare_data(dataset: Dataset, role: Role, request: BuildRequest, choice: Choice, directory: Path, progress: Progress) -> DataSet:
    """The samples of *dataset* that *request* takes for *role*, fed into files in *directory*, which is made.

    Raises:
        InputError: too many samples cannot be used.
    """
    directory.mkdir(parents=True)
    keys = choose_keys(dataset, role, request)
    prepared = feed_samples(dataset, keys, choice.pipeline, directory, progress)
    return DataSet(dataset, choice.pipeline, prepared, describe_use(dataset, role, keys, skipped=len(prepared.skipped), seed=request.seed))


def judge_data(data: DataSet) -> tuple[str, ...]:
    """What is to be known of a set that a build used, a sentence each: samples that were skipped, and what speaks against calibrating by it."""
    name, skipped = data.use.name, data.prepared.skipped
    told = [f"{data.use.role} data {name}: {len(skipped)} samples were skipped, the first {skipped[0].key}: {skipped[0].problem}"] if skipped else []
    doubts = judge_calibration(data.prepared) if data.use.role == "calibration" else []
    return (*told, *(f"calibration data {name}: {doubt}" for doubt in doubts))
