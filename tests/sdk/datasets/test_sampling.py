"""Which samples are taken, and the record of them."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from edgekit.datasets.files import FileSamples
from edgekit.datasets.sampling import describe_use, digest_dataset, digest_keys, take_sample
from edgekit.errors import InputError


def _make(tmp_path: Path, counts: dict[int, int]) -> FileSamples:
    keys = tuple(f"{number}/{place}.png" for number, count in counts.items() for place in range(count))
    return FileSamples("class-folders", tmp_path, tmp_path, "photo", keys, truths={key: int(key[0]) for key in keys})


def test_shares(tmp_path: Path) -> None:
    """Each class has its share of a sample, and at least one."""
    dataset = _make(tmp_path, {0: 600, 1: 300, 2: 99, 3: 1})
    for count, wanted in ((100, {0: 60, 1: 30, 2: 9, 3: 1}), (4, {0: 1, 1: 1, 2: 1, 3: 1}), (999, {0: 600, 1: 299, 2: 99, 3: 1})):
        taken = take_sample(dataset, count, seed=7)
        found = Counter(dataset.find_class(key) for key in taken)
        assert len(taken) == len(set(taken)) == count
        assert all(abs(found[number] - wanted[number]) <= 1 and found[number] for number in wanted)
    assert len(take_sample(dataset, 2)) == 2


def test_seed(tmp_path: Path) -> None:
    """The same seed takes the same samples, in the order of the set, and another takes others."""
    dataset = _make(tmp_path, {0: 200, 1: 200})
    taken = take_sample(dataset, 50, seed=1)
    assert taken == take_sample(dataset, 50, seed=1) == sorted(taken, key=dataset.keys.index)
    assert taken != take_sample(dataset, 50, seed=2)
    # The same on every machine and with every version of every library.
    assert taken[:3] == ["0/2.png", "0/5.png", "0/19.png"]


def test_more_data(tmp_path: Path) -> None:
    """Data that are added move few of the samples that were taken before."""
    before = set(take_sample(_make(tmp_path, {0: 200, 1: 200}), 50))
    after = set(take_sample(_make(tmp_path, {0: 210, 1: 210}), 50))
    assert len(before & after) >= 44


def test_all(tmp_path: Path) -> None:
    """All are taken where nobody says how many, or there are no more; none cannot be."""
    dataset = _make(tmp_path, {0: 3})
    assert take_sample(dataset, None) == take_sample(dataset, 99) == list(dataset.keys)
    with pytest.raises(InputError, match="at least one"):
        take_sample(dataset, 0)


def test_digests(tmp_path: Path) -> None:
    """The digest of a set changes with any byte of a sample that was taken, of its annotations, and with which were taken."""
    dataset = _make(tmp_path, {0: 3})
    for key in dataset.keys:
        (tmp_path / key).parent.mkdir(exist_ok=True)
        (tmp_path / key).write_bytes(key.encode())
    first = digest_dataset(dataset, dataset.keys[:2])
    assert first == digest_dataset(dataset, dataset.keys[:2]) != digest_dataset(dataset, dataset.keys)
    (tmp_path / "0/2.png").write_bytes(b"not taken")
    assert digest_dataset(dataset, dataset.keys[:2]) == first
    (tmp_path / "0/1.png").write_bytes(b"taken")
    assert digest_dataset(dataset, dataset.keys[:2]) != first
    assert digest_keys(["a", "b"]) == "sha256:" + hashlib.sha256(b"a\nb\n").hexdigest()
    assert digest_keys(["ab"]) != digest_keys(["a", "b"])


def test_record(tmp_path: Path) -> None:
    """The record says how many were taken of how many, how many of them could not be used, and by which seed."""
    dataset = _make(tmp_path, {0: 20})
    use = describe_use(dataset, "calibration", list(dataset.keys[:10]), skipped=2, seed=5)
    assert (use.samples, use.available, use.skipped, use.seed, use.kind) == (8, 20, 2, 5, "class-folders")
    assert use.taken == digest_keys(dataset.keys[:10])
    assert use.name == tmp_path.name
