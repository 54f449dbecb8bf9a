"""A model's answers to a set of data: its tensors, and what the contract reads of them, item by item.

Outputs and readings may be larger than the memory, as masks are, so what is large is kept in files that are mapped.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from edgekit.arrays import Array, Arrays, is_text, release_pages, to_plain
from edgekit.datasets.streaming import Prepared, Progress
from edgekit.files import naming_disk_errors
from edgekit.metrics.base import Answers
from edgekit.parity import BATCH, Answering, answer_samples
from edgekit.processing.pipeline import ContractPipeline

#: Outputs that take more than this altogether are not kept where the contract reads them.
KEPT_BYTES = 128 << 20
#: Arrays of readings that are smaller stay in memory.
_SMALL_BYTES = 1 << 14


def answer_items(
    session: Answering,
    prepared: Prepared,
    pipeline: ContractPipeline,
    subject: str,
    classes: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> Answers:
    """The answers of *session*, which messages call *subject*, to the items of *prepared*, as *pipeline* reads them.

    *classes* are the names of classes by number. Where the contract reads nothing there are no readings, and all outputs are kept.

    Raises:
        ConversionError: an output has no batch as its first axis.
        InputError: an output has not the shape that the model declares.
        DeviceError: the disk is full.
    """
    with naming_disk_errors(Path(tempfile.gettempdir())), contextlib.ExitStack() as stack:
        spool = _Spool(stack.enter_context(tempfile.TemporaryFile()))
        readings: list[dict[str, _Place | Array]] = []
        outputs = _Outputs(None if pipeline.reader is None else KEPT_BYTES)
        for group in _group_items(prepared):
            if progress is not None:
                progress(f"asking {subject}", group.start, len(prepared.items))
            first = prepared.items[group.start].start
            found = answer_samples(session, _take(prepared.inputs, first, prepared.items[group.stop - 1].stop), subject)
            outputs.add(found)
            for index in group if pipeline.reader is not None else ():
                item = prepared.items[index]
                read = pipeline.read(_take(found, item.start - first, item.stop - first), prepared.find_fed(index))
                readings.append({name: spool.keep(array) for name, array in read.items()})
            release_pages(prepared.inputs)
        kept = outputs.join() if prepared.n == len(prepared.items) else None
        return Answers(kept, spool.bring_back(readings), classes)


def _take(arrays: Mapping[str, Array], start: int, stop: int) -> Arrays:
    return {name: array[start:stop] for name, array in arrays.items()}


def _group_items(prepared: Prepared) -> Iterator[range]:
    """Items that lie one behind the other, of BATCH rows together where none has more."""
    start = 0
    for index, item in enumerate(prepared.items):
        if item.stop - prepared.items[start].start >= BATCH or index == len(prepared.items) - 1:
            yield range(start, index + 1)
            start = index + 1


class _Outputs:
    """The outputs so far; once they have more bytes than *limit*, none of them."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._parts: list[Arrays] | None = []
        self._bytes = 0

    def add(self, outputs: Arrays) -> None:
        self._bytes += sum(array.nbytes for array in outputs.values())
        if self._parts is not None and (self._limit is None or self._bytes <= self._limit):
            self._parts.append(outputs)
        else:
            self._parts = None

    def join(self) -> Arrays | None:
        if not self._parts:
            return None
        return {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}


class _Place:
    """Where an array lies in the spool's file, and its form."""

    def __init__(self, start: int, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> None:
        self.start, self.dtype, self.shape = start, dtype, shape


class _Spool:
    """Large arrays, one behind the other in *file*."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def keep(self, array: Array) -> "_Place | Array":
        """*array* itself where it is small, else the place to which it was written."""
        if array.nbytes < _SMALL_BYTES or is_text(array):
            return to_plain(array)
        place = _Place(self._file.tell(), array.dtype, array.shape)
        self._file.write(np.ascontiguousarray(array).data)
        return place

    def bring_back(self, readings: Sequence[Mapping[str, "_Place | Array"]]) -> list[Arrays]:
        """*readings* with every array mapped that was written."""
        self._file.flush()
        mapped = np.memmap(self._file, np.uint8, "r") if self._file.tell() else np.empty(0, np.uint8)
        return [{name: _view(found, mapped) for name, found in reading.items()} for reading in readings]


def _view(found: "_Place | Array", mapped: Array) -> Array:
    return np.ndarray(found.shape, found.dtype, mapped, found.start) if isinstance(found, _Place) else found
