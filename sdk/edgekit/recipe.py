"""A recipe: everything that ``edgekit convert`` was asked, as a TOML file and in a bundle's lineage.

By it the same bundle can be made again, elsewhere and by others. Paths in a recipe file are relative to the file.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgekit.build_request import BuildRequest
from edgekit.contract import Task
from edgekit.conversion import SourceOptions
from edgekit.errors import DeviceError, InputError, UnknownName
from edgekit.files import write_file
from edgekit.manifest import Lineage
from edgekit.plugins import TARGETS, find_plugins
from edgekit.precisions import order_precisions
from edgekit.records import Digest, Name, Record, RelativePath, name_field
from edgekit.target_profiles import find_profile
from edgekit.tensors import DType, TensorName, TensorSpec
from edgekit.toml_files import decode_toml

#: A recipe is a page of text.
MAX_BYTES = 1 << 20
_REMEDY = "Correct it in that file; docs/guides/reproducing.md lists every field."
#: A function that makes a model, instead of a file that is one: ``package.module:factory``.
_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

#: Paths among them, in which no system takes a NUL.
Words = Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[^\x00]*\Z")]
Size = Annotated[int, Meta(ge=1, le=1 << 40)]
AxisName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}\Z")]
Layout = Annotated[str, Meta(pattern=r"^[A-Z]{1,32}\Z")]


class _Part(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a recipe. A field that nobody knows would be an option that nobody heeds, so it is refused."""


class Input(_Part, frozen=True, kw_only=True):
    """One input of a PyTorch factory: a size for each axis, or the name of one that may vary."""

    name: TensorName
    shape: Annotated[tuple[Size | AxisName, ...], Meta(min_length=1, max_length=32)]
    dtype: DType = "float32"


class Digests(_Part, frozen=True, kw_only=True):
    """What the source and the data were when the recipe was written; None where that is left open."""

    source: Digest | None = None
    calibration: Digest | None = None
    evaluation: Digest | None = None

    @classmethod
    def of(cls, lineage: Lineage) -> "Digests":
        """Those that *lineage* names."""
        return cls(source=lineage.source_digest, calibration=lineage.calibration_digest, evaluation=lineage.evaluation_digest)

    @property
    def given(self) -> dict[str, str]:
        """Those that are not left open, by role."""
        return {role: digest for role in self.__struct_fields__ if (digest := getattr(self, role)) is not None}


class Recipe(_Part, frozen=True, kw_only=True):
    """One request to ``edgekit convert``. A field is named as the option is, in the plural where that may be repeated.

    *shapes* has a size or ``?`` for each axis, and *layouts* the source's order of axes and the callers'. *output* lies below
    the recipe's own folder: a file from somebody else names no other place to write to.
    """

    source: Words
    output: RelativePath | None = None
    name: Name | None = None
    parent: Words | None = None
    target: Words | None = None
    formats: tuple[Words, ...] | None = None
    precisions: tuple[Words, ...] | None = None
    calibration: Words | None = None
    evaluation: Words | None = None
    metric: Words | None = None
    max_drop: float = 0.01
    processing: Words | None = None
    task: Task | None = None
    samples: Annotated[int, Meta(ge=1, le=1 << 32)] | None = None
    golden_raw: bool = False
    threads: Annotated[int, Meta(ge=1, le=1024)] = 1
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    example: Words | None = None
    allow_code: bool = False
    shapes: dict[TensorName, Annotated[tuple[Size | Literal["?"], ...], Meta(min_length=1, max_length=32)]] = {}
    dtypes: dict[TensorName, DType] = {}
    layouts: dict[TensorName, tuple[Layout, Layout]] = {}
    inputs: tuple[Input, ...] = ()
    digests: Digests = Digests()

    @property
    def code(self) -> tuple[str, ...]:
        """The fields that would have code run here, which a file from somebody else may not ask for by itself."""
        asking = {"source": is_factory(self.source), "metric": ":" in (self.metric or ""), "allow_code": self.allow_code}
        return tuple(name for name, asks in asking.items() if asks)

    def list_fields(self) -> dict[str, Any]:
        """What was said, field by field, as JSON and TOML have it; what was left open is left out."""
        fields: dict[str, Any] = msgspec.json.decode(self.encode())
        return _drop_empty(fields)

    def to_request(self, destination: Path, base: Path = Path()) -> BuildRequest:
        """The request that this is, with paths that are relative to *base*."""
        return BuildRequest(
            source=Path(self.source) if is_factory(self.source) else base / self.source,
            destination=destination,
            name=self.name,
            options=self._to_options(base),
            target=self.target,
            formats=self.formats,
            precisions=self.precisions,
            calibration=_place(self.calibration, base),
            evaluation=_place(self.evaluation, base),
            metric=self.metric,
            max_drop=self.max_drop,
            processing=_place(self.processing, base),
            task=self.task,
            samples=self.samples,
            golden_raw=self.golden_raw,
            threads=self.threads,
            seed=self.seed,
            parent=self.parent,
            digests=self.digests.given,
        )

    def _to_options(self, base: Path) -> SourceOptions:
        return SourceOptions(
            shapes={name: tuple(None if size == "?" else size for size in sizes) for name, sizes in self.shapes.items()},
            example=_place(self.example, base),
            inputs=tuple(TensorSpec(name=one.name, dtype=one.dtype, shape=one.shape) for one in self.inputs),
            dtypes=self.dtypes,
            layouts=self.layouts,
            allow_code=self.allow_code,
        )


def is_factory(source: str) -> bool:
    """Whether *source* names a function, ``package.module:factory``; a file of such a name is written ``./name``."""
    return _FACTORY.fullmatch(source) is not None


def describe_request(request: BuildRequest, base: Path | None = None) -> Recipe:
    """The recipe of *request*, with relative paths as seen from the directory *base*.

    Without it, paths are as the user gave them, and of absolute ones the last part alone: what travels to devices says
    nothing of how this machine's disk is laid out.
    """
    options = request.options
    return Recipe(
        source=_write_source(request.source, base),
        name=request.name,
        target=request.target,
        formats=request.formats,
        precisions=request.precisions,
        calibration=_write_given(request.calibration, base),
        evaluation=_write_given(request.evaluation, base),
        metric=request.metric,
        max_drop=request.max_drop,
        processing=_write_given(request.processing, base),
        task=request.task,
        samples=request.samples,
        golden_raw=request.golden_raw,
        threads=request.threads,
        seed=request.seed,
        parent=request.parent,
        example=_write_given(options.example, base),
        allow_code=options.allow_code,
        shapes={name: tuple("?" if size is None else size for size in sizes) for name, sizes in options.shapes.items()},
        dtypes=dict(options.dtypes),
        layouts=dict(options.layouts),
        inputs=tuple(Input(name=spec.name, dtype=spec.dtype, shape=spec.shape) for spec in options.inputs),
        digests=Digests(**request.digests),
    )


def check_digests(request: BuildRequest, found: Digests) -> None:
    """Refuse a source or data, whose digests are *found*, other than the recipe of *request* was written for."""
    for role, digest in request.digests.items():
        mine = found.given.get(role)
        if mine != digest:
            problem = f"its digest is {mine or 'that of nothing, since none was given'}, and the recipe was written for {digest}"
            raise InputError(getattr(request, role) or f"--{role}", problem, f"Give that one, or take {role} out of the recipe's digests.")


def read_recipe(path: Path) -> Recipe:
    """The recipe in the TOML file *path*.

    Raises:
        InputError: it cannot be read, is no TOML, or a field is not what it should be; the message names file and field.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Check the path given with --recipe.") from error
    if len(data) > MAX_BYTES:
        raise InputError(path, f"it is larger than {MAX_BYTES} bytes, and a recipe is a page of text", "Give a file made by --save-recipe.")
    try:
        fields = decode_toml(data)
    except ValueError as error:
        raise InputError(path, f"it is not TOML: {error}", "Correct the line named.") from error
    return convert_recipe(fields, path)


def convert_recipe(fields: dict[str, Any], subject: Path) -> Recipe:
    """The recipe that *fields* are; InputError names *subject* and the field."""
    try:
        recipe = msgspec.convert(fields, Recipe)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(subject, name_field(str(error)), _REMEDY) from error
    for field, unknown in _find_unknown(recipe):
        raise InputError(subject, f"{field}: {unknown.subject}: {unknown.problem}. {unknown.remedy}", _REMEDY) from unknown
    return recipe


def _find_unknown(recipe: Recipe) -> Iterator[tuple[str, UnknownName]]:
    """Each field of *recipe* with a name that is not known here."""
    known = find_plugins(TARGETS)
    for name in recipe.formats or ():
        if name not in known:
            yield "formats", UnknownName("format", name, known)
    try:
        order_precisions(recipe.precisions or ())
    except UnknownName as error:
        yield "precisions", error
    try:
        if recipe.target is not None:
            find_profile(recipe.target)
    except UnknownName as error:
        yield "target", error


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Put *recipe* into the file *path*, whole or not at all; raises as format_recipe does."""
    write_file(path, format_recipe(recipe).encode())


# fmt: off
#: What stands above which fields in a recipe file. Tables come last, as TOML wants it.
_SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("What edgekit convert was asked. Again: edgekit convert --recipe THIS-FILE -o BUNDLE\n"
     "Paths are relative to this file, and options on the command line go before what stands here.",
     ("source", "output", "name", "parent")),
    ("What is made; without these, what pays for the model on the target.", ("target", "formats", "precisions")),
    ("The data, and the bound that each variant must keep, in the metric's own unit.",
     ("calibration", "evaluation", "samples", "metric", "max_drop")),
    ("How pictures, sounds, texts and tables become tensors; golden_raw lets items of the data travel to every device.",
     ("processing", "task", "golden_raw")),
    ("Threads that each variant is timed with, and what every random choice follows from.", ("threads", "seed")),
    ("How the source is read.", ("example", "allow_code")),
    ("Sizes that were fixed (? leaves one as it is), and what callers give the inputs in.", ("shapes", "dtypes", "layouts", "inputs")),
    ("What the files were when this was written. Others are refused: take a line out where others are meant.", ("digests",)),
)
# fmt: on


def format_recipe(recipe: Recipe) -> str:
    """*recipe* as TOML with a word on each part; DeviceError where tomli-w is not installed."""
    try:
        import tomli_w
    except ImportError as error:
        raise DeviceError("recipe", "tomli-w, which writes it, is not installed", "Install it: pip install 'edgekit[convert]'.") from error
    fields = recipe.list_fields()
    parts = []
    for remark, names in _SECTIONS:
        section = {name: fields[name] for name in names if name in fields}
        if section:
            parts.append("".join(f"# {line}\n" for line in remark.splitlines()) + tomli_w.dumps(section))
    return "\n".join(parts)


def _drop_empty(fields: dict[str, Any]) -> dict[str, Any]:
    """*fields* without what was not said, for which TOML has no word."""
    filled = {name: _drop_empty(value) if isinstance(value, dict) else value for name, value in fields.items()}
    return {name: value for name, value in filled.items() if value not in (None, {}, []) and value is not False}


def _place(path: str | None, base: Path) -> Path | None:
    return None if path is None else base / path


def _write_source(source: Path, base: Path | None) -> str:
    if is_factory(str(source)) and not source.exists():
        return str(source)
    written = _write_path(source, base)
    return f"./{written}" if is_factory(written) else written


def _write_given(path: Path | None, base: Path | None) -> str | None:
    return None if path is None else _write_path(path, base)


def _write_path(path: Path, base: Path | None) -> str:
    if path.is_absolute():
        return path.name if base is None else str(path)
    return path.as_posix() if base is None else Path(os.path.relpath(path, base)).as_posix()
