"""Records are frozen, pure, and round-trip through JSON."""

import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.artifacts import Artifact, FileEntry
from edgekit.errors import InputError
from edgekit.manifest import (
    Choice,
    Deviation,
    Latency,
    Lineage,
    Manifest,
    Measurement,
    Metric,
    Parity,
    Skipped,
    Tolerance,
    Variant,
    decode_manifest,
)
from edgekit.records import Record, name_field
from edgekit.targets import Accelerator, Hardware
from edgekit.tensors import Binding, Quantization, TensorSpec

FLOATS = st.floats(0, 1e9)
SHARES = st.floats(0, 1)
TEXT = st.text(max_size=20)
NAMES = st.text(string.ascii_letters + string.digits, min_size=1, max_size=12)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:".__add__)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
FILES = st.builds(FileEntry, path=PATHS, digest=DIGESTS, length=st.integers(0, 1 << 53))
QUANTIZATIONS = st.integers(1, 4).flatmap(
    lambda count: st.builds(
        Quantization,
        scale=st.tuples(*[FLOATS] * count),
        zero_point=st.tuples(*[st.integers(-128, 255)] * count),
        axis=st.just(1) if count > 1 else st.none(),
    )
)
DIMENSIONS = st.one_of(st.integers(0, 4096), NAMES)
SPECS = st.builds(
    TensorSpec,
    name=NAMES,
    dtype=st.sampled_from(["float32", "int8", "int64", "bytes"]),
    shape=st.lists(DIMENSIONS, max_size=5).map(tuple),
    layout=st.sampled_from([None, "NCHW"]),
    quantization=st.one_of(st.none(), QUANTIZATIONS),
    finite=st.booleans(),
)
BINDINGS = SPECS.flatmap(
    lambda native: st.builds(
        Binding, name=NAMES, native=st.just(native), permutation=st.one_of(st.none(), st.permutations(range(len(native.shape))).map(tuple))
    )
)
DEVIATIONS = st.builds(Deviation, max_abs=FLOATS, mean_abs=FLOATS)
BY_OUTPUT = st.dictionaries(NAMES, DEVIATIONS, max_size=2)
SHARE_OR_NONE = st.one_of(st.none(), SHARES)
PARITIES = st.builds(Parity, max_abs=FLOATS, mean_abs=FLOATS, n=st.integers(1, 99), top1_agreement=SHARE_OR_NONE, outputs=BY_OUTPUT)
TOLERANCES = st.builds(Tolerance, max_abs=FLOATS, mean_abs=FLOATS, top1_agreement=SHARE_OR_NONE, outputs=BY_OUTPUT, slack=TEXT)
METRICS = st.builds(Metric, name=NAMES, value=FLOATS, n=st.integers(1, 999), source_value=FLOATS)
LATENCIES = st.builds(Latency, p50=FLOATS, p95=FLOATS, p99=FLOATS, spread=FLOATS, rounds=st.integers(1, 9), n=st.integers(1, 999))
MEASUREMENTS = st.builds(
    Measurement,
    machine=TEXT,
    target=NAMES,
    runtime=NAMES,
    runtime_version=TEXT,
    threads=st.integers(1, 8),
    latency_ms=LATENCIES,
    rss_mb=st.one_of(st.none(), FLOATS),
    energy_mj=st.one_of(st.none(), FLOATS),
)
LINEAGES = st.builds(
    Lineage,
    source=TEXT,
    source_format=NAMES,
    source_digest=DIGESTS,
    source_size=st.integers(0, 1 << 40),
    calibration_digest=st.one_of(st.none(), DIGESTS),
    tools=st.dictionaries(NAMES, TEXT, max_size=3),
    platform=TEXT,
)
HARDWARE = st.builds(
    Hardware,
    machine=TEXT,
    arch=NAMES,
    cpu_features=st.lists(NAMES, max_size=3).map(tuple),
    memory_mb=st.one_of(st.none(), st.integers(0, 1 << 20)),
    accelerators=st.lists(st.builds(Accelerator, kind=NAMES, model=TEXT), max_size=2).map(tuple),
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    specs = draw(st.lists(SPECS, min_size=1, max_size=2, unique_by=lambda spec: spec.name).map(tuple))
    bindings = tuple(Binding(name=spec.name, native=spec) for spec in specs)
    ids = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    variants = tuple(
        Variant(
            id=each,
            format="onnx",
            precision="fp32",
            files=(FileEntry(path=f"variants/{each}/model", digest=draw(DIGESTS), length=1),),
            inputs=bindings,
            outputs=bindings,
            parity=draw(PARITIES),
            tolerance=draw(TOLERANCES),
            metric=draw(st.one_of(st.none(), METRICS)),
            measured=draw(st.lists(MEASUREMENTS, max_size=1).map(tuple)),
        )
        for each in ids
    )
    return Manifest(
        name=draw(NAMES),
        inputs=specs,
        outputs=specs,
        golden=FileEntry(path="golden.npz", digest=draw(DIGESTS), length=1),
        golden_origin="synthetic",
        variants=variants,
        defaults={"x86-64": Choice(variant=ids[0], reason="the only one")},
        skipped=(Skipped(id="tflite-fp32", format="tflite", precision="fp32", reason=draw(TEXT)),),
        lineage=draw(LINEAGES),
    )


RECORDS = st.one_of(SPECS, BINDINGS, FILES, QUANTIZATIONS, PARITIES, TOLERANCES, METRICS, MEASUREMENTS, LINEAGES, HARDWARE, manifests())


@given(RECORDS)
def test_round_trip(record: Record) -> None:
    """Every record is the same after it was encoded and decoded."""
    assert type(record).decode(record.encode()) == record


@given(manifests())
def test_manifest_survives_unknown_fields(manifest: Manifest) -> None:
    """A manifest that a later writer extended with more fields reads as it did before."""
    extended = msgspec.json.decode(manifest.encode()) | {"invented_later": {"a": [1, None]}}
    extended["variants"][0]["carbon"] = 3
    assert decode_manifest(msgspec.json.encode(extended)) == manifest


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_non_finite_floats_are_refused(value: float) -> None:
    """A record cannot be made with NaN or infinity, not even inside a tuple."""
    with pytest.raises(ValueError, match="finite"):
        Deviation(max_abs=0.0, mean_abs=value)
    with pytest.raises(ValueError, match="finite"):
        Quantization(scale=(value,), zero_point=(0,))


def test_records_are_frozen() -> None:
    """A field of a record cannot be set."""
    entry = FileEntry(path="a", digest="sha256:" + "0" * 64, length=0)
    with pytest.raises(AttributeError):
        entry.length = 1  # type: ignore[misc]


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../b", "a//b", "a\\b", ".hidden", "a/.ssh", "", "a/", "a\n", "C:x", "x" * 256])
def test_paths_that_could_climb_or_hide_are_refused(path: str) -> None:
    """A path of a manifest names a visible file below the bundle, or the record is refused with the field's name."""
    data = msgspec.json.encode({"path": path, "digest": "sha256:" + "0" * 64, "length": 1})
    with pytest.raises(InputError, match="path"):
        FileEntry.decode(data)


@pytest.mark.parametrize(("field", "value"), [("digest", "sha256:zz"), ("digest", 3), ("length", -1), ("length", "1"), ("length", 1 << 60)])
def test_decode_names_the_field(field: str, value: object) -> None:
    """What is wrong with a record is said with the field's name."""
    good = {"path": "a", "digest": "sha256:" + "0" * 64, "length": 1}
    with pytest.raises(InputError, match=field):
        FileEntry.decode(msgspec.json.encode(good | {field: value}))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"path": 1' * 3, b"[" * 100_000])
def test_rubbish_is_an_input_error(data: bytes) -> None:
    """Bytes that are not the record end in InputError, whatever they are."""
    with pytest.raises(InputError, match=r"m\.json"):
        Artifact.decode(data, "m.json")


def test_the_field_stands_in_front() -> None:
    """A message of msgspec's begins with the field that is at fault, and one without a field stays as it is."""
    assert name_field("Expected `int`, got `str` - at `$.api.port`") == "api.port: Expected `int`, got `str`"
    assert name_field("Expected `object`, got `array`") == "Expected `object`, got `array`"
