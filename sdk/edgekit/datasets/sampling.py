"""Which samples are taken of a set, and the record that says so: the same seed takes the same ones, on every machine."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal

from edgekit.datasets.base import Dataset
from edgekit.errors import InputError
from edgekit.files import digest_file
from edgekit.manifest import DataUse

Role = Literal["calibration", "evaluation", "golden"]


def take_sample(dataset: Dataset, count: int | None, seed: int = 0) -> list[str]:
    """The keys of *count* samples of *dataset* in its order; all of them where it has no more, or *count* is None.

    Each key has its place by the digest of seed and key, and the first are taken: data that are added move few of the others,
    and no library's random numbers decide. Where classes are known without opening files, each has as many as its share of
    the set, and at least one, if there are enough.

    Raises:
        InputError: *count* is less than one.
    """
    if count is not None and count < 1:
        raise InputError("number of samples", f"{count} are asked for", "Ask for at least one.")
    if count is None or count >= len(dataset.keys):
        return list(dataset.keys)
    ranked = sorted(dataset.keys, key=lambda key: hashlib.sha256(f"{seed}\0{key}".encode()).digest())
    groups: dict[int | None, list[str]] = {}
    for key in ranked:
        groups.setdefault(dataset.find_class(key), []).append(key)
    shares = _share_out(count, [len(group) for group in groups.values()])
    taken = {key for group, share in zip(groups.values(), shares, strict=True) for key in group[:share]}
    return [key for key in dataset.keys if key in taken]


def _share_out(count: int, sizes: Sequence[int]) -> list[int]:
    """How many of *count* each group of *sizes* gets: its share, by the largest remainders, and one at least where count is enough."""
    total = sum(sizes)
    shares = [count * size // total for size in sizes]
    if count >= len(sizes):
        shares = [max(share, 1) for share in shares]
    # What is left goes to those furthest below their share, and what is too much comes from those furthest above it.
    while sum(shares) != count:
        step = 1 if sum(shares) < count else -1
        movable = [place for place, share in enumerate(shares) if step > 0 or share > 1]
        place = max(movable, key=lambda place: step * (count * sizes[place] / total - shares[place]))
        shares[place] += step
    return shares


def digest_keys(keys: Iterable[str]) -> str:
    """The digest of *keys*, each followed by a line feed."""
    digest = hashlib.sha256()
    for key in keys:
        digest.update(key.encode() + b"\n")
    return "sha256:" + digest.hexdigest()


def digest_dataset(dataset: Dataset, keys: Sequence[str]) -> str:
    """The digest of what the samples *keys* are made of.

    It is over a line for each of the files on which all depends, in their order, and for each of *keys* that is a file of its
    own: the file's name, or the key, its size in bytes and its digest, with tabs between. A file that is not there counts as none.
    """
    digest = hashlib.sha256()
    for name, path in (*((path.name, path) for path in dataset.files), *((key, dataset.find_file(key)) for key in keys)):
        if path is not None:
            digest.update(f"{name}\t{path.stat().st_size}\t{digest_file(path)}\n".encode())
    return "sha256:" + digest.hexdigest()


def describe_use(dataset: Dataset, role: Role, taken: Sequence[str], *, skipped: int = 0, seed: int = 0) -> DataUse:
    """The record of the samples *taken* of *dataset*, *skipped* of which could not be used."""
    return DataUse(
        role=role,
        name=dataset.path.name or str(dataset.path),
        kind=dataset.kind,
        digest=digest_dataset(dataset, taken),
        taken=digest_keys(taken),
        samples=len(taken) - skipped,
        available=len(dataset.keys),
        skipped=skipped,
        seed=seed,
    )
