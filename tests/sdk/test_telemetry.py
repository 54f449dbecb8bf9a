"""Telemetry on the wire: batches survive it, and whatever else comes is refused without harm."""

import math

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import WireError
from edgekit.histogram import Histogram, record_values
from edgekit.telemetry import (
    MAX_BYTES,
    MAX_FIGURE,
    MAX_RECORDS,
    MAX_WIRE_BYTES,
    Batch,
    Event,
    Interval,
    Lost,
    TelemetryRecord,
    decode_batch,
    decode_record,
    encode_batch,
    encode_record,
    merge_intervals,
)

EPOCH = "0123456789abcdef"
TEXT = st.text(max_size=30)
FIGURE = st.none() | st.floats(-MAX_FIGURE, MAX_FIGURE)
LATENCIES = st.lists(st.floats(0, 1e6), max_size=10).map(record_values)


def make_interval(sequence: int = 1, **fields: object) -> Interval:
    names = {"model": "digits", "release": "digits@1.0.0", "variant": "onnx-int8", "runtime": "onnxruntime"}
    return Interval(**{"sequence": sequence, "start_ms": 0, "duration_ms": 1000, **names, **fields})  # type: ignore[arg-type]


def records_at(sequence: int) -> st.SearchStrategy[TelemetryRecord]:
    number = st.just(sequence)
    interval = st.builds(Interval, number, st.integers(0, 2**53), st.integers(0, 9), *[TEXT] * 4, latency_ms=LATENCIES, energy_mj=FIGURE)
    return interval | st.builds(Event, number, st.integers(0, 2**53), TEXT, TEXT, TEXT) | st.builds(Lost, number, number)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    numbers = sorted(draw(st.sets(st.integers(1, 100), max_size=20)))
    records = tuple(draw(records_at(number)) for number in numbers)
    return Batch(epoch=EPOCH, first_held=1, made=100, records=records)


@given(batches())
def test_a_batch_survives_the_wire(batch: Batch) -> None:
    """Whatever it holds, what is read is what was sent."""
    assert decode_batch(encode_batch(batch)) == batch


@given(st.integers(1, 50).flatmap(records_at))
def test_a_record_survives_the_store(record: TelemetryRecord) -> None:
    """Encoded alone, as the outbox and the store keep it, it is read as it was."""
    assert decode_record(encode_record(record)) == record


def test_compression_is_used_where_it_pays() -> None:
    """A batch of many like records is sent compressed, an empty one plain."""
    many = Batch(epoch=EPOCH, first_held=1, made=60, records=tuple(make_interval(number) for number in range(1, 61)))
    assert encode_batch(many)[:1] == b"\x01"
    assert len(encode_batch(many)) < len(msgspec.msgpack.encode(many)) / 4
    assert encode_batch(Batch(epoch=EPOCH, first_held=1, made=0))[:1] == b"\x00"


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x00", b"\x01", b"\x02"]))
def test_no_bytes_do_harm(data: bytes, kind: bytes) -> None:
    """Any bytes are a batch or a WireError, and nothing else happens."""
    try:
        decode_batch(kind + data)
    except WireError as error:
        assert "telemetry batch" in str(error)


@given(batches(), st.data())
def test_damage_does_no_harm(batch: Batch, data: st.DataObject) -> None:
    """A batch with bytes changed or cut off is a batch or a WireError."""
    sent = bytearray(encode_batch(batch))
    sent[data.draw(st.integers(0, len(sent) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decode_batch(bytes(sent[: data.draw(st.integers(0, len(sent)))]))
    except WireError as error:
        assert "telemetry batch" in str(error)


def test_a_batch_that_unpacks_to_too_much_is_refused() -> None:
    """Some kilobytes that would become hundreds of megabytes are refused before they do."""
    bomb = b"\x01" + zstandard.ZstdCompressor().compress(bytes(100 * MAX_BYTES))
    assert len(bomb) < MAX_WIRE_BYTES
    with pytest.raises(WireError, match=f"more than {MAX_BYTES} bytes"):
        decode_batch(bomb)


def test_a_batch_that_is_too_long_as_sent_is_refused() -> None:
    """It is not even looked into."""
    with pytest.raises(WireError, match=f"{MAX_WIRE_BYTES} is the most"):
        decode_batch(bytes(MAX_WIRE_BYTES + 1))


def test_nesting_without_end_is_refused() -> None:
    """A message of nothing but opened arrays is a WireError, not a fault of ours."""
    with pytest.raises(WireError):
        decode_batch(b"\x00" + b"\x91" * 200_000)


@pytest.mark.parametrize(
    "fields",
    [
        {"first_held": 3, "made": 1},
        {"records": (Event(sequence=2, at_ms=0, kind="x"), Event(sequence=1, at_ms=0, kind="x"))},
        {"records": (Event(sequence=2, at_ms=0, kind="x"), Event(sequence=2, at_ms=0, kind="x"))},
        {"records": (Event(sequence=10, at_ms=0, kind="x"),)},
        {"records": (Event(sequence=1, at_ms=0, kind="x"),), "first_held": 2},
        {"records": (Lost(sequence=3, first=1),), "first_held": 2},
    ],
)
def test_a_batch_that_contradicts_itself_is_refused(fields: dict[str, object]) -> None:
    """Its records ascend and lie between first_held and made, and first_held is not above the next number."""
    with pytest.raises(ValueError, match="must"):
        Batch(**{"epoch": EPOCH, "first_held": 1, "made": 5, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("epoch", ["", "0123456789ABCDEF", "0123456789abcdef0", "0123456789abcdef\n"])
def test_an_epoch_is_sixteen_small_hexadecimal_digits(epoch: str) -> None:
    """Nothing else is read as one."""
    sent = msgspec.msgpack.encode([epoch, 1, 0, []])
    with pytest.raises(WireError):
        decode_batch(b"\x00" + sent)


def test_a_batch_has_a_bound_on_its_records() -> None:
    """One with more records than MAX_RECORDS is refused."""
    sent = msgspec.msgpack.encode([EPOCH, 1, 5_000, [[2, number, 0, "x", "", ""] for number in range(1, MAX_RECORDS + 2)]])
    with pytest.raises(WireError):
        decode_batch(b"\x00" + sent)


@pytest.mark.parametrize("field", ["input_mean", "memory_mb", "energy_mj"])
def test_a_figure_that_is_no_number_is_refused(field: str) -> None:
    """NaN stands for nothing that was measured: unknown is None."""
    with pytest.raises(ValueError, match=f"{field} is not a finite number"):
        make_interval(**{field: math.nan})


@pytest.mark.parametrize("fields", [{"energy_mj": 1.7e308}, {"memory_mb": -1e101}, {"latency_ms": Histogram((), 1, 1.7e308)}])
def test_a_figure_that_would_spoil_a_sum_is_refused(fields: dict[str, object]) -> None:
    """One device's number next to infinity would make the sums of its whole fleet overflow."""
    with pytest.raises(ValueError, match="above 1e\\+100"):
        make_interval(**fields)


def test_an_older_writer_and_a_newer_one_are_both_read() -> None:
    """Fields are only appended: a batch without the newest fields is read, and one with more is too."""
    older = [1, 1, 0, 1000, "m", "m@1", "v", "r"]
    newer = [*msgspec.msgpack.decode(encode_record(make_interval())), "what a later edgekit says"]
    batch = decode_batch(b"\x00" + msgspec.msgpack.encode([EPOCH, 1, 2, [older], "more"]))
    assert batch.records[0].sequence == 1
    assert decode_record(msgspec.msgpack.encode(newer)) == make_interval()


def test_merged_intervals_add_up_exactly() -> None:
    """Counts and histograms are sums, means are weighted by requests, and the later number and machine figures stay."""
    first = make_interval(1, requests=10, failed=1, latency_ms=record_values([1.0] * 9), input_mean=1.0, top1=((1, 9),), memory_mb=5.0)
    second = make_interval(2, start_ms=1000, requests=30, refused=2, latency_ms=record_values([2.0] * 30), input_mean=2.0, top1=((1, 1), (7, 29)))
    merged = merge_intervals(first, second)
    assert merged is not None
    assert (merged.sequence, merged.start_ms, merged.duration_ms) == (2, 0, 2000)
    assert (merged.requests, merged.refused, merged.failed) == (40, 2, 1)
    assert merged.latency_ms == record_values([1.0] * 9 + [2.0] * 30)
    assert merged.input_mean == pytest.approx(1.75)
    assert (merged.top1, merged.memory_mb) == (((1, 10), (7, 29)), None)


@pytest.mark.parametrize("field", ["model", "release", "variant", "runtime"])
def test_intervals_of_different_things_do_not_merge(field: str) -> None:
    """Two releases, variants, models or runtimes are never one figure."""
    assert merge_intervals(make_interval(1), make_interval(2, **{field: "other"})) is None
