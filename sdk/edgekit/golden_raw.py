"""Golden raw items: recorded pictures, sounds, texts and tables with what they became and what was answered.

Golden samples prove a model; these prove the contract in front of it and behind it. The workstation records them with the source
model, and every machine that carries out the contract makes the same of them, within what is stated here, or says what differs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.arrays import Array, Arrays, decode_arrays, encode_arrays, to_plain
from edgekit.bundles import VerifiedBundle
from edgekit.contract import Feature, Processing
from edgekit.errors import InputError, RawParityError
from edgekit.parity import Answering, answer_samples, find_range
from edgekit.processing.diagnosing import name_suspects
from edgekit.processing.features import PreparedFeature, PreparedText, prepare_feature
from edgekit.processing.pipeline import ContractPipeline
from edgekit.raw_agreement import measure_agreement
from edgekit.records import Name, NonNegative, Record, Share

#: The most items, the most bytes of all together, and of what they become with the answers: they travel to every device.
MAX_ITEMS, MAX_BYTES, MAX_FED_BYTES = 16, 4 << 20, 16 << 20
#: The most bytes that the arrays of one file of them may take in memory.
_MAX_FILE_BYTES = MAX_BYTES + MAX_FED_BYTES + (1 << 20)
#: The most that a tensor may deviate from the recorded one, as a share of the input's range over all items. JPEG decoders and
#: OpenCV's resize differ between CPUs by a level or two of 255 at single pixels; the smallest mistake, another interpolation, by
#: several on average. Numbers of tokens must be equal.
FED_MAX, FED_MEAN = 0.03, 0.003
#: Items that are fed to find out which mistake a contract looks like: one mistake spoils every item.
_SUSPECTED_ITEMS = 4
_COUNTED = ("int32", "int64", "uint32", "uint64", "bool")
_INDEX = "index"
_RAW, _TEXT, _FED, _ANSWER = "raw", "text", "fed", "answer"
_REMEDY = "Make the bundle again with the contract that the model was trained with, by edgekit convert --processing FILE."


@dataclass(frozen=True)
class RawItem:
    """One item: *raws* has the bytes of a file, or a text, for each feature; *fed* is what the model was fed with, *answer* what was read."""

    raws: Mapping[str, bytes | str]
    fed: Arrays
    answer: Arrays


class _Index(Record, frozen=True, kw_only=True):
    """What the arrays do not say: the number of items, and for each variant the least share to which its answers must agree."""

    items: int
    agreements: dict[Name, Share] = {}


class RawProof(Record, frozen=True, kw_only=True):
    """What proving found: *fed_deviation* is the largest of a fed tensor, as a share of its range, and *agreement* that of the answers.

    *least* is the agreement that was asked for; None where none was recorded for the variant.
    """

    items: int
    fed_deviation: NonNegative
    agreement: Share
    least: Share | None = None


@dataclass(frozen=True)
class GoldenRaw:
    """The items, and by variant the least share to which its answers must agree with the source model's."""

    items: tuple[RawItem, ...]
    agreements: Mapping[str, float]

    def encode(self) -> bytes:
        """The items as the bytes of an ``.npz``; equal items give equal bytes."""
        index = _Index(items=len(self.items), agreements=dict(self.agreements)).encode()
        arrays = {_INDEX: np.frombuffer(index, np.uint8)}
        for place, item in enumerate(self.items):
            for name, raw in item.raws.items():
                kind, data = (_TEXT, raw.encode()) if isinstance(raw, str) else (_RAW, raw)
                arrays[f"{place}:{kind}:{name}"] = np.frombuffer(data, np.uint8)
            arrays |= {f"{place}:{_FED}:{name}": array for name, array in item.fed.items()}
            arrays |= {f"{place}:{_ANSWER}:{name}": array for name, array in item.answer.items()}
        return encode_arrays(arrays)

    @classmethod
    def decode(cls, data: bytes, subject: str | Path = "golden-raw.npz") -> "GoldenRaw":
        """The items in *data*.

        Raises:
            InputError: it holds none, or more or larger ones than a bundle may have.
        """
        arrays = decode_arrays(data, str(subject), _MAX_FILE_BYTES)
        if _INDEX not in arrays:
            raise _refuse_file(subject, "it has no index")
        index = _Index.decode(arrays.pop(_INDEX).tobytes(), str(subject))
        if not 1 <= index.items <= MAX_ITEMS:
            raise _refuse_file(subject, f"it has {index.items} items, and 1 to {MAX_ITEMS} are allowed")
        items = tuple(_decode_item(place, arrays, subject) for place in range(index.items))
        if sum(map(_count_bytes, items)) > MAX_BYTES:
            raise _refuse_file(subject, f"its items have more than {MAX_BYTES >> 20} MiB together")
        return cls(items, index.agreements)


def _decode_item(place: int, arrays: Arrays, subject: str | Path) -> RawItem:
    parts: dict[str, Arrays] = {_RAW: {}, _TEXT: {}, _FED: {}, _ANSWER: {}}
    for name, array in arrays.items():
        number, _, rest = name.partition(":")
        kind, _, field = rest.partition(":")
        if number == str(place) and kind in parts:
            parts[kind][field] = array
    raws: dict[str, bytes | str] = {name: array.tobytes() for name, array in parts[_RAW].items()}
    try:
        raws |= {name: array.tobytes().decode() for name, array in parts[_TEXT].items()}
    except UnicodeDecodeError as error:
        raise _refuse_file(subject, f"item {place + 1} has a text that is no UTF-8") from error
    wrong = [name for name, array in (parts[_FED] | parts[_ANSWER]).items() if array.dtype.kind not in "biufS"]
    if wrong:
        raise _refuse_file(subject, f"{wrong[0]!r} of item {place + 1} holds neither numbers nor strings")
    if not raws or not parts[_FED] or not parts[_ANSWER]:
        raise _refuse_file(subject, f"item {place + 1} lacks what was given, what it became, or the answer")
    return RawItem(raws, parts[_FED], parts[_ANSWER])


def _count_bytes(item: RawItem) -> int:
    return sum(len(raw.encode() if isinstance(raw, str) else raw) for raw in item.raws.values())


def _refuse_file(subject: str | Path, problem: str) -> InputError:
    return InputError(subject, f"it holds no golden raw items: {problem}", "Make the bundle again.")


def read_golden_raw(bundle: VerifiedBundle) -> GoldenRaw | None:
    """The golden raw items of *bundle*, held against their digest once more; None where it has none."""
    entry = bundle.manifest.golden_raw
    return None if entry is None else GoldenRaw.decode(bundle.read_file(entry), bundle.root / entry.path)


def record_items(pipeline: ContractPipeline, session: Answering, raws: Sequence[Mapping[str, bytes | str]], subject: str) -> tuple[RawItem, ...]:
    """Items of *raws* with what *pipeline* makes of each and what the source model, opened in *session*, answers.

    Those that cannot be fed are left out, and so are those that would make all of them too many or too large.
    """
    items: list[RawItem] = []
    size = fed_size = 0
    for given in raws:
        try:
            fed = pipeline.feed(given)
            answer = pipeline.read(answer_samples(session, fed.inputs, subject), fed)
        except InputError:
            continue
        item = RawItem(given, fed.inputs, {name: to_plain(array) for name, array in answer.items()})
        each, fed_each = _count_bytes(item), sum(array.nbytes for array in (*item.fed.values(), *item.answer.values()))
        if len(items) < MAX_ITEMS and size + each <= MAX_BYTES and fed_size + fed_each <= MAX_FED_BYTES:
            items.append(item)
            size, fed_size = size + each, fed_size + fed_each
    return tuple(items)


def measure_answers(pipeline: ContractPipeline, session: Answering, items: Sequence[RawItem], subject: str) -> list[float]:
    """For each item, the share to which the answer of *session* agrees with the recorded one, all of it done from the raw item on."""
    found = []
    for item in items:
        fed = pipeline.feed(item.raws)
        answer = pipeline.read(answer_samples(session, fed.inputs, subject), fed)
        found.append(measure_agreement(item.answer, answer))
    return found


def derive_agreement(measured: Sequence[float]) -> float:
    """The least agreement to ask of a variant that had *measured* where it was made: their mean, less one item of them."""
    return max(0.0, float(np.mean(measured)) - 1 / len(measured))


def prove_raw(pipeline: ContractPipeline, session: Answering, golden_raw: GoldenRaw, variant: str, subject: str) -> RawProof:
    """Feed the items, have *session* answer, and hold both against what was recorded.

    Args:
        pipeline: the contract as it is carried out here.
        session: *variant*, opened here.
        golden_raw: what was recorded with the source model.
        variant: the variant's id.
        subject: what messages call it.

    Raises:
        RawParityError: tensors deviate by more than FED_MAX or FED_MEAN, or answers agree less than *golden_raw* says; the
            message names the mistake that the contract looks like, where it looks like one.
        DeviceError: a library is missing.
    """
    deviation = check_feeding(pipeline, golden_raw, subject)
    agreements = measure_answers(pipeline, session, golden_raw.items, subject)
    agreement, least = float(np.mean(agreements)), golden_raw.agreements.get(variant)
    if least is not None and agreement < least - 1e-9:
        worst = int(np.argmin(agreements)) + 1
        told = f"its answers agree by {agreement:.1%} with those recorded, and {least:.1%} is the least; item {worst} agrees by {min(agreements):.1%}"
        raise RawParityError(subject, [told], _REMEDY)
    return RawProof(items=len(agreements), fed_deviation=deviation, agreement=agreement, least=least)


def check_feeding(pipeline: ContractPipeline, golden_raw: GoldenRaw, subject: str) -> float:
    """The largest deviation of what *pipeline* makes of the items from what was recorded; raises as prove_raw does."""
    ranges = _find_ranges(golden_raw.items)
    largest, faults = 0.0, []
    for place, item in enumerate(golden_raw.items, 1):
        try:
            fed = pipeline.feed(item.raws).inputs
        except InputError as error:
            faults.append(f"item {place} cannot be fed: {error.problem}")
            continue
        for name, recorded in item.fed.items():
            deviation, fault = _compare_fed(name, recorded, fed.get(name), ranges[name])
            largest = max(largest, deviation)
            faults += [] if fault is None else [f"item {place}: {fault}"]
    if faults:
        raise RawParityError(subject, [*_name_mistakes(pipeline.contract, golden_raw), *_shorten(faults)], _REMEDY)
    return largest


def _shorten(faults: Sequence[str]) -> list[str]:
    """The first of *faults*, and how many more there are: one mistake spoils every item."""
    return [faults[0], *([f"{len(faults) - 1} more"] if len(faults) > 1 else [])]


def _find_ranges(items: Sequence[RawItem]) -> dict[str, float]:
    """For each input, the distance from its lowest to its highest value over all items."""
    values: dict[str, list[Array]] = {}
    for item in items:
        for name, array in item.fed.items():
            values.setdefault(name, []).append(array.ravel())
    return {name: find_range(np.concatenate(arrays)) for name, arrays in values.items()}


def _compare_fed(name: str, recorded: Array, fed: Array | None, reach: float) -> tuple[float, str | None]:
    """The largest deviation of *fed* from *recorded* as a share of *reach*, and why it is too much, in words."""
    if fed is None or fed.shape != recorded.shape or fed.dtype != recorded.dtype:
        found = "nothing" if fed is None else f"{fed.dtype}{list(fed.shape)}"
        return 0.0, f"{name!r} becomes {found}, and {recorded.dtype}{list(recorded.shape)} was recorded"
    if recorded.dtype.name in _COUNTED or recorded.dtype.kind in "OSU":
        different = int(np.count_nonzero(fed != recorded))
        return float(different > 0), f"{name!r} has {different} values that are not those recorded" if different else None
    difference = np.abs(fed.astype(np.float64) - recorded.astype(np.float64)) / (reach or 1.0)
    largest, mean = float(difference.max(initial=0.0)), float(difference.mean()) if difference.size else 0.0
    if np.isfinite(largest) and largest <= FED_MAX and mean <= FED_MEAN:
        return largest, None
    told = f"{name!r} deviates by {mean:.2%} of its range on average and {largest:.2%} at most"
    return largest, f"{told}, and {FED_MEAN:.2%} and {FED_MAX:.2%} are allowed"


def _name_mistakes(contract: Processing, golden_raw: GoldenRaw) -> list[str]:
    """The usual mistakes in a contract for pictures with which the items become what was recorded, in words."""
    pictures = [feature.name for feature in contract.inputs if feature.kind == "image"]
    if not pictures:
        return []
    items, ranges = golden_raw.items[:_SUSPECTED_ITEMS], _find_ranges(golden_raw.items)

    def judge(other: Processing) -> float:
        features = [feature for feature in other.inputs if feature.kind == "image"]
        return _share_fed(features, items, ranges)

    suspects = name_suspects(contract, judge, len(items), "of the golden raw items become what was recorded")
    return [suspects[0].sentence] if suspects else []


def _share_fed(features: Sequence[Feature], items: Sequence[RawItem], ranges: Mapping[str, float]) -> float:
    """The share of *items* that *features*, which are pictures, turn into what was recorded."""
    prepared = [prepare_feature(feature, Path()) for feature in features]
    return sum(_is_fed_right(prepared, item, ranges) for item in items) / len(items)


def _is_fed_right(prepared: Sequence[PreparedFeature | PreparedText], item: RawItem, ranges: Mapping[str, float]) -> bool:
    for one in prepared:
        try:
            fed = one.feed(item.raws[one.feature.name])[0]
        except InputError:
            return False
        if any(_compare_fed(name, item.fed[name], array, ranges[name])[1] is not None for name, array in fed.items() if name in item.fed):
            return False
    return True
