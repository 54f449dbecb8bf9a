"""What a bundle says of itself: its variants, what was measured of each, and where they came from."""

from inspect import cleandoc
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgekit.artifacts import Artifact, FileEntry
from edgekit.contract import Processing
from edgekit.errors import InputError, SchemaTooNew, UnknownName
from edgekit.precisions import Scheme
from edgekit.records import Digest, Name, NonNegative, Record, Share
from edgekit.tensors import TensorSpec

#: The newest schema that this edgekit reads, and the one that it writes.
SCHEMA = 1


class Deviation(Record, frozen=True, kw_only=True):
    """How far one output is from the source's, in the output's own unit."""

    max_abs: NonNegative
    mean_abs: NonNegative


class Parity(Deviation, frozen=True, kw_only=True):
    """How far a variant's answers to *n* golden samples are from the source model's.

    *max_abs* and *mean_abs* are over all outputs, *outputs* has them one by one. *top1_agreement* is the share
    of samples with the same highest class; None where no output is a row of classes. *box_agreement* is the share of a
    detector's boxes that are found again, of the same class and overlapping by half; None where it is no detector, or where
    neither it nor the source found any.
    """

    n: Annotated[int, Meta(ge=1)]
    top1_agreement: Share | None = None
    box_agreement: Share | None = None
    outputs: dict[str, Deviation] = {}


class Tolerance(Deviation, frozen=True, kw_only=True):
    """The most that a device lets a variant deviate: what was measured when it was built, with *slack* added.

    *slack* says the rule in words, so that a reader of the manifest can repeat it.
    """

    top1_agreement: Share | None = None
    box_agreement: Share | None = None
    outputs: dict[str, Deviation] = {}
    slack: str = ""


class Metric(Record, frozen=True, kw_only=True):
    """The task's own measure on *n* labelled samples, and the source model's value on the same.

    *interval* is where the value lies with 95 % confidence, had other samples been taken; None where that was not computed.
    """

    name: str
    value: float
    n: Annotated[int, Meta(ge=1)]
    source_value: float
    better: Literal["higher", "lower"] = "higher"
    interval: tuple[float, float] | None = None

    @property
    def drop(self) -> float:
        """By how much it is worse than the source's; negative where it is better."""
        return self.source_value - self.value if self.better == "higher" else self.value - self.source_value


class Latency(Record, frozen=True, kw_only=True):
    """Milliseconds for one inference at batch 1, over *rounds* interleaved rounds of *n* inferences in all.

    *spread* is the distance between the quartiles of the rounds' medians.
    """

    p50: NonNegative
    p95: NonNegative
    p99: NonNegative
    spread: NonNegative
    rounds: Annotated[int, Meta(ge=1)]
    n: Annotated[int, Meta(ge=1)]


class Measurement(Record, frozen=True, kw_only=True):
    """What one variant cost on one machine. A figure that could not be taken is None: unknown."""

    machine: str
    target: str
    runtime: str
    runtime_version: str
    threads: Annotated[int, Meta(ge=1)]
    latency_ms: Latency
    rss_mb: NonNegative | None = None
    energy_mj: NonNegative | None = None


class Variant(Artifact, frozen=True, kw_only=True):
    """One artifact of a bundle, with its precision and all that was measured of it.

    *precision* is a number format; for integers *scheme* says how activations get it: edgekit.precisions has the words.
    """

    id: Name
    precision: Name
    scheme: Scheme | None = None
    parity: Parity
    tolerance: Tolerance
    metric: Metric | None = None
    measured: tuple[Measurement, ...] = ()

    @property
    def precision_label(self) -> str:
        """Its precision for readers, with how activations get it where that is known: ``int8 static``."""
        return self.precision if self.scheme is None else f"{self.precision} {self.scheme}"

    @property
    def purpose(self) -> str:
        """What it was made for, and how that builds its engine, as words: ``for nvidia, tensorrt 10.0 or later``; empty for CPUs."""
        if self.accelerator is None:
            return ""
        return f"for {self.accelerator}" if self.engine is None else f"for {self.accelerator}, {self.engine}"

    def find_measurement(self, target: str) -> Measurement | None:
        """The measurement that a machine of *target* made, if one did."""
        return next((one for one in self.measured if one.target == target), None)


class Skipped(Record, frozen=True, kw_only=True):
    """A variant that was not made, or that was made and refused, and why."""

    id: Name
    format: Name
    precision: Name
    reason: str


class Choice(Record, frozen=True, kw_only=True):
    """The variant that is the default on a target, and why it was chosen."""

    variant: Name
    reason: str


class DataUse(Record, frozen=True, kw_only=True):
    """A set of data that took part: *samples* of its *available* ones were taken with *seed*, and *skipped* could not be used.

    *digest* is that of its files, and *taken* that of the keys of the samples that were taken, a line each.
    """

    role: Literal["calibration", "evaluation", "golden"]
    name: str
    kind: str
    digest: Digest
    taken: Digest
    samples: Annotated[int, Meta(ge=0)]
    available: Annotated[int, Meta(ge=0)]
    skipped: Annotated[int, Meta(ge=0)] = 0
    seed: int = 0


class Lineage(Record, frozen=True, kw_only=True):
    """Where a bundle came from: enough to make it again. Digests of data are None where none was given.

    *data* says of each set which samples were taken. *recipe* is the whole request (edgekit.recipe), and *parent* the release
    that this one takes the place of, where it was named.
    """

    source: str
    source_format: Name
    source_digest: Digest
    source_size: int
    calibration_digest: Digest | None = None
    evaluation_digest: Digest | None = None
    tools: dict[str, str] = {}
    options: dict[str, str] = {}
    platform: str = ""
    data: tuple[DataUse, ...] = ()
    recipe: dict[str, Any] = {}
    parent: str | None = None


class Manifest(Record, frozen=True, kw_only=True):
    """The record in a bundle's ``manifest.json``.

    *processing* is the contract by which pictures, sounds, texts and tables become tensors, and answers words. *golden_raw*
    are recorded items with what they must become and be answered; a device without the libraries for them may leave them out.
    *warnings* say what speaks against trusting a figure in it, a sentence each: data that are few or alike, or a contract that looks
    like another.
    """

    schema: Annotated[int, Meta(ge=1)] = SCHEMA
    name: Name
    inputs: Annotated[tuple[TensorSpec, ...], Meta(min_length=1)]
    outputs: Annotated[tuple[TensorSpec, ...], Meta(min_length=1)]
    golden: FileEntry
    golden_origin: Literal["calibration", "evaluation", "synthetic"]
    processing: Processing | None = None
    golden_raw: FileEntry | None = None
    golden_raw_origin: Literal["calibration", "evaluation", "synthetic"] | None = None
    variants: Annotated[tuple[Variant, ...], Meta(min_length=1)]
    defaults: dict[str, Choice] = {}
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    lineage: Lineage

    def __post_init__(self) -> None:
        super().__post_init__()
        ids = [variant.id for variant in self.variants]
        _check_unique("variant", ids)
        _check_unique("file", [entry.path for entry in self.files])
        for target, choice in self.defaults.items():
            if choice.variant not in ids:
                raise ValueError(f"defaults[{target!r}] names {choice.variant!r}, which is not among the variants")
        for variant in self.variants:
            self._check_bindings(variant)

    def _check_bindings(self, variant: Variant) -> None:
        for kind, specs, bindings in (("inputs", self.inputs, variant.inputs), ("outputs", self.outputs, variant.outputs)):
            wanted, found = sorted(spec.name for spec in specs), sorted(binding.name for binding in bindings)
            if wanted != found:
                raise ValueError(f"variant {variant.id!r} binds the {kind} {found}, and the model has {wanted}")

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """Every file of the bundle but the manifest itself."""
        return (*self.shared_files, *(entry for variant in self.variants for entry in variant.files))

    @property
    def shared_files(self) -> tuple[FileEntry, ...]:
        """The files that every variant needs beside its own."""
        raw = () if self.golden_raw is None else (self.golden_raw,)
        return (self.golden, *raw, *(() if self.processing is None else self.processing.files))

    def find_variant(self, variant_id: str) -> Variant:
        """The variant with that id, or UnknownName."""
        for variant in self.variants:
            if variant.id == variant_id:
                return variant
        raise UnknownName("variant", variant_id, (variant.id for variant in self.variants))


class _Header(msgspec.Struct):
    schema: int


def decode_manifest(data: bytes, subject: str = "manifest.json") -> Manifest:
    """The manifest in *data*.

    The schema is looked at first, since a newer one may differ in any other field.

    Raises:
        SchemaTooNew: the manifest has a newer schema than SCHEMA.
        InputError: it is not a manifest; the message names the field.
    """
    try:
        header = msgspec.json.decode(data, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(subject, f"it is not a manifest: {error}", "Point to a bundle made by edgekit convert.") from error
    if header.schema > SCHEMA:
        raise SchemaTooNew(subject, header.schema, SCHEMA)
    return Manifest.decode(data, subject)


def manifest_schema() -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of ``manifest.json``."""
    schema = _clean_descriptions(msgspec.json.schema(Manifest))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "edgekit manifest", **schema}


def _clean_descriptions(schema: Any) -> Any:
    """*schema* without the indentation of docstrings, which Python takes away itself only from 3.13 on."""
    if isinstance(schema, dict):
        return {key: cleandoc(item) if key == "description" and isinstance(item, str) else _clean_descriptions(item) for key, item in schema.items()}
    return [_clean_descriptions(item) for item in schema] if isinstance(schema, list) else schema


def _check_unique(kind: str, values: list[str]) -> None:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"each {kind} must be named once, and {', '.join(twice)} is named more often")
