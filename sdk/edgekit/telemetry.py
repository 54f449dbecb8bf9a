"""What a device tells of itself: one record an interval and model, events between them, and what had to be dropped.

All of it is one stream for each epoch of a device, numbered without gaps, so that the server can say "stored up to n" and
both sides know what that means. On the wire a batch is msgpack, arrays instead of maps (fields are only appended, with
defaults), with one byte before it that says whether it is compressed.
"""

from typing import Annotated, Any

import msgspec
import zstandard
from msgspec import Meta

from edgekit.errors import WireError
from edgekit.histogram import Count, Histogram, merge_histograms

#: The most that a batch may take, as it was sent and as it is unpacked, in bytes.
MAX_WIRE_BYTES = 256 << 10
MAX_BYTES = 2 << 20
MAX_RECORDS = 1000
_PLAIN, _ZSTD = b"\x00", b"\x01"
#: The largest figure that is taken: far above what anybody measures, and a fleet's sums and squares of such stay finite.
MAX_FIGURE = 1e100
#: Below this, compression makes a batch longer.
_WORTH_COMPRESSING = 200

Sequence = Annotated[int, Meta(ge=1, le=1 << 53)]
Millis = Annotated[int, Meta(ge=0, le=1 << 53)]
Text = Annotated[str, Meta(max_length=200)]
Epoch = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]


class _Wire(msgspec.Struct, frozen=True, array_like=True):
    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if isinstance(value, float) and not is_figure(value):
                raise ValueError(f"{field} is not a finite number, or above {MAX_FIGURE:g}")


def is_figure(value: float) -> bool:
    """Whether *value* can be told, and added up with those of others: not NaN, not infinite, and not next to it."""
    return abs(value) <= MAX_FIGURE


class Interval(_Wire, frozen=True, array_like=True, tag=1):
    """What one model did on one device from *start_ms* (unix time) for *duration_ms*.

    *refused* were the caller's fault (a bad tensor) and are the input's health; *failed* are errors and answers that are not
    finite, and are the model's; *rescued* are those of the failed that the previous release answered in its place.
    *input_mean* and *input_std* are over the values of the inputs, *top1* counts the classes answered. What could not be
    measured is None.
    """

    sequence: Sequence
    start_ms: Millis
    duration_ms: Millis
    model: Text
    release: Text
    variant: Text
    runtime: Text
    requests: Count = 0
    refused: Count = 0
    failed: Count = 0
    rescued: Count = 0
    latency_ms: Histogram = Histogram()
    non_finite_inputs: Count = 0
    non_finite_outputs: Count = 0
    input_mean: float | None = None
    input_std: float | None = None
    top1: Annotated[tuple[tuple[int, Count], ...], Meta(max_length=32)] = ()
    memory_mb: float | None = None
    cpu_share: float | None = None
    temperature_c: float | None = None
    energy_mj: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_figure(self.latency_ms.total):
            raise ValueError(f"the total of latency_ms is above {MAX_FIGURE:g}")


class Event(_Wire, frozen=True, array_like=True, tag=2):
    """Something that happened at *at_ms*: its kind (``started``, ``deployment``, ``crash``, …), the model, and a sentence."""

    sequence: Sequence
    at_ms: Millis
    kind: Text
    model: Text = ""
    text: Text = ""


class Lost(_Wire, frozen=True, array_like=True, tag=3):
    """The records *first* to *sequence*, both included, had to be dropped or merged away: they are known to be lost."""

    sequence: Sequence
    first: Sequence

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first > self.sequence:
            raise ValueError("first must not be above sequence")


TelemetryRecord = Interval | Event | Lost


class Batch(_Wire, frozen=True, array_like=True):
    """Records of one epoch in ascending order. *made* is the highest number given out so far, *first_held* the lowest that the device still has.

    What lies below *first_held* and was never stored is known to be lost, and acknowledgement passes it.
    """

    epoch: Epoch
    first_held: Sequence
    made: Annotated[int, Meta(ge=0, le=1 << 53)]
    records: Annotated[tuple[TelemetryRecord, ...], Meta(max_length=MAX_RECORDS)] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first_held > self.made + 1:
            raise ValueError("first_held must not be above the number that comes next")
        numbers = [record.sequence for record in self.records]
        if numbers != sorted(set(numbers)):
            raise ValueError("records must ascend")
        if numbers and (numbers[-1] > self.made or first_of(self.records[0]) < self.first_held):
            raise ValueError("records must lie between first_held and made")


def first_of(record: TelemetryRecord) -> int:
    """The lowest number that *record* stands for."""
    return record.first if isinstance(record, Lost) else record.sequence


def encode_record(record: TelemetryRecord) -> bytes:
    """One record as msgpack, as the outbox and the store keep it."""
    return msgspec.msgpack.encode(record)


def decode_record(data: bytes) -> TelemetryRecord:
    """The record in *data*, or WireError."""
    record: TelemetryRecord = _decode(data, TelemetryRecord, "telemetry record")
    return record


def encode_batch(batch: Batch) -> bytes:
    """The batch as it is sent: one byte for the encoding, then msgpack, compressed with zstd where that pays."""
    data = msgspec.msgpack.encode(batch)
    if len(data) >= _WORTH_COMPRESSING:
        packed = zstandard.ZstdCompressor(level=3).compress(data)
        if len(packed) < len(data):
            return _ZSTD + packed
    return _PLAIN + data


def decode_batch(data: bytes) -> Batch:
    """The batch in *data*.

    Raises:
        WireError: it is too large as sent or unpacked, not msgpack, or not a batch; the message says which.
    """
    if len(data) > MAX_WIRE_BYTES:
        raise WireError("telemetry batch", f"it has {len(data)} bytes, and {MAX_WIRE_BYTES} is the most")
    kind, body = data[:1], data[1:]
    if kind == _ZSTD:
        body = _unpack(body)
    elif kind != _PLAIN:
        raise WireError("telemetry batch", "its first byte names no known encoding")
    batch: Batch = _decode(body, Batch, "telemetry batch")
    return batch


def _unpack(data: bytes) -> bytes:
    try:
        # Streamed with a limit: the size that a frame declares is the sender's word.
        with zstandard.ZstdDecompressor(max_window_size=MAX_BYTES).stream_reader(data) as reader:
            body = reader.read(MAX_BYTES + 1)
    except zstandard.ZstdError as error:
        raise WireError("telemetry batch", f"it cannot be unpacked: {error}") from error
    if len(body) > MAX_BYTES:
        raise WireError("telemetry batch", f"it unpacks to more than {MAX_BYTES} bytes")
    return body


def _decode(data: bytes, kind: Any, subject: str) -> Any:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(subject, f"it is not valid: {error}") from error


def merge_intervals(first: Interval, second: Interval) -> Interval | None:
    """One interval for two that follow one another, with the later number; None where they are of different models or variants.

    Histograms and counts add up exactly. Means of the inputs are weighted by the requests, and of the machine's own figures
    the later is kept.
    """
    same = ("model", "release", "variant", "runtime")
    if any(getattr(first, name) != getattr(second, name) for name in same):
        return None
    counts = ("requests", "refused", "failed", "rescued", "non_finite_inputs", "non_finite_outputs")
    return msgspec.structs.replace(
        second,
        start_ms=first.start_ms,
        duration_ms=max(0, second.start_ms - first.start_ms) + second.duration_ms,
        latency_ms=merge_histograms((first.latency_ms, second.latency_ms)),
        input_mean=_weigh(first, second, "input_mean"),
        input_std=_weigh(first, second, "input_std"),
        top1=_add_counts(first.top1, second.top1),
        **{name: getattr(first, name) + getattr(second, name) for name in counts},
    )


def _weigh(first: Interval, second: Interval, name: str) -> float | None:
    parts = [(one.requests, getattr(one, name)) for one in (first, second) if getattr(one, name) is not None]
    weight = sum(requests for requests, _ in parts)
    return sum(requests * value for requests, value in parts) / weight if weight else None


def _add_counts(first: tuple[tuple[int, int], ...], second: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    counts = dict(first)
    for index, count in second:
        counts[index] = counts.get(index, 0) + count
    return tuple(sorted(sorted(counts.items(), key=lambda pair: -pair[1])[:32]))
