"""Which contract a build goes by: the one that the user gives, the usual one for a task, or the one that the source brings."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from msgspec.structs import replace

from edgekit.artifacts import FileEntry
from edgekit.build_request import BuildRequest
from edgekit.contract import Classify, Kind, Processing, Step, Tokenize
from edgekit.conversion import SourceModel
from edgekit.datasets.base import Dataset
from edgekit.errors import DeviceError, InputError
from edgekit.files import digest_file, naming_disk_errors
from edgekit.processing.answer_presets import count_classes
from edgekit.processing.pipeline import ContractPipeline, open_pipeline
from edgekit.processing.presets import make_preset, read_processing

#: Where the files of a contract lie in a bundle.
FOLDER = "processing"
#: The packages that carry out contracts for each kind of item.
_LIBRARIES: Mapping[Kind, tuple[str, ...]] = {
    "image": ("pillow", "opencv-python-headless", "opencv-python"),
    "audio": ("soundfile", "soxr"),
    "text": ("tokenizers",),
    "series": ("numpy",),
}


@dataclass(frozen=True)
class Choice:
    """The contract of a build, opened for its model. *origin* says in words where it is from; None where there is none.

    Without one, *pipeline* takes the model's own tensors and reads nothing. The contract's files lie in *root* as they will in the
    bundle. *warnings* say what was left out.
    """

    pipeline: ContractPipeline
    root: Path
    origin: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def contract(self) -> Processing | None:
        """The contract, where there is one."""
        return None if self.origin is None else self.pipeline.contract


def choose_contract(request: BuildRequest, model: SourceModel, root: Path) -> Choice:
    """The contract of *request* for *model*, with its files put into the directory *root* as they will lie in the bundle.

    What the user says goes before what the source brings. One that the source brings and that does not fit the model as it is
    converted, in another layout for instance, is left out with a warning.

    Raises:
        InputError: the file is no contract, the preset lacks something, or what the user gave does not fit the model.
        DeviceError: a library that the contract needs is not installed here.
    """
    if request.processing is not None:
        given = read_processing(request.processing)
        files = {entry.path: request.processing.parent / entry.path for entry in given.files}
        return _open(model, root, place_files(given, files, root), str(request.processing))
    if request.task is not None:
        return _open(model, root, make_preset(request.task, model.inputs, model.outputs), f"--task {request.task}")
    if model.processing is not None:
        return _take_brought(model, model.processing, root)
    return _take_none(model, root, model.processing_gap)


def _open(model: SourceModel, root: Path, contract: Processing, origin: str | None) -> Choice:
    return Choice(open_pipeline(contract, model.inputs, model.outputs, root), root, origin)


def _take_brought(model: SourceModel, contract: Processing, root: Path) -> Choice:
    try:
        return _open(model, root, place_files(contract, model.processing_files, root), "the source itself")
    except (InputError, DeviceError) as error:
        return _take_none(model, root, str(error))


def _take_none(model: SourceModel, root: Path, gap: str) -> Choice:
    """No contract; *gap* says why the one that the source brings is left out, where it brings one."""
    warnings = (f"the contract that the source brings was left out: {gap}",) if gap else ()
    return Choice(open_pipeline(Processing(), model.inputs, model.outputs, root), root, None, warnings)


def place_files(contract: Processing, files: Mapping[str, Path], root: Path) -> Processing:
    """*contract* with its *files*, by the names that it has for them, copied into ``processing/`` below *root* and named so."""
    entries = {name: _copy(path, root, f"{FOLDER}/{name}") for name, path in files.items()}
    inputs = tuple(replace(feature, steps=tuple(_rename(step, entries) for step in feature.steps)) for feature in contract.inputs)
    placed = replace(contract, inputs=inputs, files=tuple(entries.values()))
    # A name that was as long as one may be is now too long.
    return Processing.decode(placed.encode(), "processing")


def _copy(path: Path, root: Path, name: str) -> FileEntry:
    target = root / name
    with naming_disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return FileEntry(path=name, digest=digest_file(target), length=target.stat().st_size)


def _rename(step: Step, entries: Mapping[str, FileEntry]) -> Step:
    return replace(step, file=entries[step.file].path) if isinstance(step, Tokenize) and step.file in entries else step


def list_libraries(contract: Processing | None) -> dict[str, str]:
    """The packages that carry out *contract* here, with their versions."""
    kinds = {feature.kind for feature in contract.inputs} if contract is not None else set()
    names = [name for kind in sorted(kinds) for name in _LIBRARIES[kind]]
    return {name: found for name in ("numpy", *names) if (found := _find_version(name)) is not None} if names else {}


def _find_version(package: str) -> str | None:
    """The version of *package*; None where the library came in another one, as OpenCV does in four."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def adopt_labels(choice: Choice, model: SourceModel, dataset: Dataset) -> Choice:
    """*choice* with the names of classes that *dataset* has, where its contract names none.

    Raises:
        InputError: the set has another number of classes than the model, so that nobody knows which is which.
    """
    contract = choice.contract
    if contract is None or contract.answer is None or contract.labels or not dataset.classes:
        return choice
    found, answer = len(dataset.classes), contract.answer
    if isinstance(answer, Classify):
        (spec,) = (one for one in model.outputs if one.name == answer.output)
        if count_classes(spec) not in (None, found):
            problem = f"it has {found} classes by name, the model has {count_classes(spec)}, and the contract does not name them"
            raise InputError(dataset.path, problem, "Name the model's classes in order: labels in the file given with --processing.")
    named = replace(contract, labels=dataset.classes)
    return Choice(open_pipeline(named, model.inputs, model.outputs, choice.root), choice.root, choice.origin, choice.warnings)
