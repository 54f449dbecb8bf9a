"""Opens data as people keep it: the kind is seen by what lies at a path, or said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.contract import Feature, Kind, Processing, Transcribe
from edgekit.datasets.base import Dataset
from edgekit.datasets.class_folders import open_class_folders, open_file_folder
from edgekit.datasets.coco import open_coco
from edgekit.datasets.csv_file import read_columns
from edgekit.datasets.csv_texts import open_texts
from edgekit.datasets.csv_windows import open_windows
from edgekit.datasets.folders import PICTURES, SOUNDS, list_files, list_folders
from edgekit.datasets.listings import PATHS, TEXTS, find_column, open_listing
from edgekit.datasets.mask_folders import IMAGES, MASKS, open_masks
from edgekit.datasets.npz import open_npz
from edgekit.datasets.splits import NAMES, check_no_split, parse_split
from edgekit.datasets.yolo import open_yolo
from edgekit.errors import InputError, UnknownName

_FEATURE_NAMES: dict[Kind, str] = {"image": "image", "audio": "audio", "text": "text", "series": "series"}
_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_REMEDY = "Give an .npz, a folder with a folder for each class, a COCO .json, a YOLO data.yaml, a CSV, or say which it is with --kind."


@dataclass(frozen=True)
class Request:
    """What is to be opened: *contract* says what callers give, and *split* which part of the set is meant."""

    path: Path
    contract: Processing
    split: str | None

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of classes that the contract knows."""
        return self.contract.labels

    def find_feature(self, *kinds: Kind) -> Feature:
        """The one feature that a set of *kinds* gives; a contract without features gets one of the first kind.

        Raises:
            InputError: the contract takes something else, or more than one thing.
        """
        features = self.contract.inputs
        if not features:
            return Feature(name=_FEATURE_NAMES[kinds[0]], kind=kinds[0])
        if len(features) > 1 or features[0].kind not in kinds:
            wanted = ", ".join(f"{feature.name!r} ({feature.kind})" for feature in features)
            raise InputError(
                self.path, f"it has one {' or '.join(kinds)} for each sample, and the contract takes {wanted}", "Give an .npz with an array for each."
            )
        return features[0]

    def find_media(self) -> tuple[str, tuple[str, ...]]:
        """The name of the feature that files are, and how their names end: as the contract says, or as what lies there first."""
        feature = self.find_feature("image", "audio")
        if not self.contract.inputs and not list_files(self.path, PICTURES) and list_files(self.path, SOUNDS):
            feature = Feature(name=_FEATURE_NAMES["audio"], kind="audio")
        return feature.name, SOUNDS if feature.kind == "audio" else PICTURES


def _open_npz(request: Request) -> Dataset:
    check_no_split(request.path, request.split)
    spoken = isinstance(request.contract.answer, Transcribe)
    return open_npz(request.path, request.contract.inputs, request.labels, spoken=spoken)


def _open_class_folders(request: Request) -> Dataset:
    check_no_split(request.path, request.split)
    return open_class_folders(request.path, *request.find_media(), request.labels)


def _open_files(request: Request) -> Dataset:
    check_no_split(request.path, request.split)
    return open_file_folder(request.path, *request.find_media())


def _open_coco(request: Request) -> Dataset:
    check_no_split(request.path, request.split)
    return open_coco(_find_annotations(request.path), request.find_feature("image").name, request.labels)


def _open_yolo(request: Request) -> Dataset:
    described = [request.path / name for name in _DESCRIPTIONS if (request.path / name).is_file()]
    return open_yolo(described[0] if described else request.path, request.find_feature("image").name, request.labels, request.split)


def _open_masks(request: Request) -> Dataset:
    check_no_split(request.path, request.split)
    return open_masks(request.path, request.find_feature("image").name, request.labels)


def _open_listing(request: Request) -> Dataset:
    return open_listing(_find_listing(request.path), request.find_feature("image", "audio"), request.labels, request.split)


def _open_windows(request: Request) -> Dataset:
    return open_windows(request.path, request.find_feature("series"), request.labels, request.split)


def _open_texts(request: Request) -> Dataset:
    features = request.contract.inputs or (request.find_feature("text"),)
    return open_texts(request.path, features, request.labels, request.split)


KINDS: dict[str, Callable[[Request], Dataset]] = {
    "npz": _open_npz,
    "class-folders": _open_class_folders,
    "files": _open_files,
    "coco": _open_coco,
    "yolo": _open_yolo,
    "masks": _open_masks,
    "listing": _open_listing,
    "csv-windows": _open_windows,
    "csv-texts": _open_texts,
}


def open_dataset(path: Path, *, kind: str | None = None, contract: Processing | None = None, split: str | None = None) -> Dataset:
    """The set of data at *path*, of *kind*, or of the kind that it looks like.

    A part of it may stand behind its path, as in ``data.yaml#val``, or in *split*. *contract* says what is given for which
    feature, how rows are cut into windows, and the names of classes. No sample is opened.

    Raises:
        InputError: nothing is there, it is of no kind that is known (the message says what it has), or it is no such set.
        DeviceError: a library that reads it is not installed.
    """
    place, part = parse_split(path)
    if not place.exists():
        raise InputError(place, "there is no such file or folder", "Check the path.")
    try:
        request = _find_part(Request(place, contract or Processing(), split or part))
        name = kind or find_kind(request)
        if name not in KINDS:
            raise UnknownName("kind of data", name, KINDS)
        return KINDS[name](request)
    except OSError as error:
        raise InputError(error.filename or place, f"it cannot be read: {error.strerror}", "Check who may read it.") from error


def _find_part(request: Request) -> Request:
    """*request* for the folder that its split names, where there is one; what is described by a file has its parts named there."""
    path = request.path
    if request.split is None or not path.is_dir() or _is_described(path) or request.split not in list_folders(path):
        return request
    return Request(path / request.split, request.contract, None)


def _is_described(path: Path) -> bool:
    return any((path / name).is_file() for name in _DESCRIPTIONS)


def find_kind(request: Request) -> str:
    """The kind of what lies at the request's path; InputError that says what is there where it is none."""
    return _find_folder_kind(request) if request.path.is_dir() else _find_file_kind(request)


def _find_file_kind(request: Request) -> str:
    suffix = request.path.suffix.lower()
    kinds = {".npz": "npz", ".json": "coco", ".yaml": "yolo", ".yml": "yolo"}
    if suffix in (".csv", ".tsv"):
        return _find_csv_kind(request)
    if suffix not in kinds:
        raise InputError(request.path, f"its name ends in {suffix!r}, and no kind of data does", _REMEDY)
    return kinds[suffix]


def _find_csv_kind(request: Request) -> str:
    columns = read_columns(request.path)
    kinds = {feature.kind for feature in request.contract.inputs}
    if not kinds & {"text", "series"} and find_column(columns, PATHS) is not None:
        return "listing"
    return "csv-texts" if kinds == {"text"} or (not kinds and find_column(columns, TEXTS) is not None) else "csv-windows"


def _find_folder_kind(request: Request) -> str:
    path = request.path
    folders = list_folders(path)
    if {"images", "labels"} <= set(folders) or _is_described(path):
        return "yolo"
    if {IMAGES, MASKS} <= set(folders):
        return "masks"
    if _list_annotations(path):
        return "coco"
    tables = list_files(path, (".csv",), deep=False)
    if any(find_column(read_columns(path / name), PATHS) is not None for name in tables):
        return "listing"
    if tables or {feature.kind for feature in request.contract.inputs} == {"series"}:
        return "csv-windows"
    return _find_media_kind(request, folders)


def _find_media_kind(request: Request, folders: Sequence[str]) -> str:
    """Whether files lie in a folder for each class, or all in one."""
    path = request.path
    _, suffixes = request.find_media()
    here = list_files(path, suffixes, deep=False)
    filled = [name for name in folders if list_files(path / name, suffixes)]
    if here and filled:
        found = f"it has {len(here)} files beside {len(filled)} folders with more of them"
        raise InputError(path, found, "Say with --kind class-folders or --kind files what it is.")
    if filled and {name.lower() for name in filled} <= set(NAMES):
        raise InputError(path, f"its folders are parts of a set: {', '.join(filled)}", f"Give one of them, as in {path / filled[0]}.")
    if not here and not filled:
        raise InputError(path, f"it is no set of data that is known: {_describe_folder(path, folders)}", _REMEDY)
    return "files" if here else "class-folders"


def _describe_folder(path: Path, folders: Sequence[str]) -> str:
    names = list_files(path, ("",))
    ends = sorted({Path(name).suffix or Path(name).name for name in names})
    files = f"{len(names)} files ({', '.join(ends[:5])})" if names else "no files"
    return f"it has {files} in {len(folders)} folders, and no pictures, sounds, CSVs or annotations" if folders else f"it has {files} and no folders"


def _list_annotations(path: Path) -> list[Path]:
    """The files in a folder that are named as COCO's annotations are."""
    inside = [path / "annotations" / name for name in list_files(path / "annotations", (".json",), deep=False)]
    beside = [path / name for name in list_files(path, (".json",), deep=False) if "annotations" in name or name.startswith("instances")]
    return inside + beside


def _find_annotations(path: Path) -> Path:
    found = _list_annotations(path) if path.is_dir() else [path]
    return _find_only(path, found, "files of annotations")


def _find_listing(path: Path) -> Path:
    if not path.is_dir():
        return path
    tables = [path / name for name in list_files(path, (".csv",), deep=False)]
    return _find_only(path, [table for table in tables if find_column(read_columns(table), PATHS) is not None], "CSVs that name files")


def _find_only(path: Path, found: Sequence[Path], what: str) -> Path:
    if len(found) != 1:
        names = ", ".join(one.relative_to(path).as_posix() for one in found) or "none"
        raise InputError(path, f"it has {len(found)} {what}: {names}", "Give one of them.")
    return found[0]
