"""Samples that are there twice: byte for byte, or pictures that look the same."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from edgekit.arrays import Array
from edgekit.datasets.describing import HASH_SIDE, Description
from edgekit.records import Record

#: Pictures whose hashes differ in so many of their 144 bits or fewer look the same: see HASH_SIDE for what was measured.
NEAR_BITS = 12
#: All pairs are compared, which takes less than a minute for so many.
MAX_COMPARED = 50_000
_BLOCK = 256
How = Literal["same", "alike"]


class Duplicate(Record, frozen=True, kw_only=True):
    """The sample *second* is *first* again: of the ``same`` bytes, or a picture that looks ``alike``.

    *classes_differ* where both are labelled, and not as the same.
    """

    first: str
    second: str
    how: How
    classes_differ: bool = False


def find_same(first: Mapping[str, Description], second: Mapping[str, Description] | None = None) -> list[Duplicate]:
    """The samples of *second* with the bytes of one of *first*; those within *first* where there is no *second*."""
    known: dict[bytes, str] = {}
    pairs = []
    for key, described in first.items():
        if described.digest not in known:
            known[described.digest] = key
        elif second is None:
            pairs.append((known[described.digest], key))
    if second is not None:
        pairs = [(known[described.digest], key) for key, described in second.items() if described.digest in known]
    return [_describe_pair(first, first if second is None else second, pair, "same") for pair in pairs]


def find_alike(first: Mapping[str, Description], second: Mapping[str, Description] | None = None) -> list[Duplicate]:
    """The pictures of *second* that look like one of *first* and have other bytes, each with the nearest; those within *first* without *second*."""
    held = first if second is None else second
    known, asked = _list_pictures(first), _list_pictures(held)
    rows = _spread(known, first)
    pairs: list[tuple[str, str]] = []
    for start in range(0, len(asked) if known else 0, _BLOCK):
        block = asked[start : start + _BLOCK]
        bits = (HASH_SIDE**2 - _spread(block, held) @ rows.T) / 2
        if second is None:
            # Each picture is compared with those before it alone.
            bits[np.arange(len(known)) >= start + np.arange(len(block))[:, None]] = np.inf
        near = np.flatnonzero(bits.min(axis=1) <= NEAR_BITS)
        pairs += [(known[int(bits[row].argmin())], block[int(row)]) for row in near]
    return [_describe_pair(first, held, pair, "alike") for pair in pairs if first[pair[0]].digest != held[pair[1]].digest]


def _list_pictures(described: Mapping[str, Description]) -> list[str]:
    return [key for key, one in described.items() if one.looks is not None]


def _spread(keys: Sequence[str], described: Mapping[str, Description]) -> Array:
    """The hashes of *keys* as rows of -1 and 1, whose product says how many bits are equal."""
    looks = [described[key].looks for key in keys]
    return np.array(looks, np.float32).reshape(len(keys), HASH_SIDE**2) * 2 - 1


def _describe_pair(first: Mapping[str, Description], second: Mapping[str, Description], pair: tuple[str, str], how: How) -> Duplicate:
    classes, others = first[pair[0]].classes, second[pair[1]].classes
    return Duplicate(first=pair[0], second=pair[1], how=how, classes_differ=bool(classes and others and classes != others))
