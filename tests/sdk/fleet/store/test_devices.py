"""Devices: found, selected and labelled."""

from collections.abc import Callable
from typing import Any

import pytest

from edgekit.errors import InputError, UnknownName
from edgekit.fleet.store.devices import (
    MAX_LABELS,
    UNKNOWN_CLASS,
    find_device,
    find_online,
    list_devices,
    list_statuses,
    mark_offline,
    read_inventory,
    read_status,
    see_devices,
    set_labels,
    store_inventory,
)
from edgekit.status import DeviceInventory
from edgekit.targets import Accelerator, Hardware

Run = Callable[..., Any]
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def fleet(write: Run) -> None:
    """Two devices that are known by what they are, and one that has not said it."""
    write(see_devices, ["roof", "cellar", "silent"], 10)
    for name, target, kinds in (("roof", "raspberry-pi-4", ()), ("cellar", "nvidia-gpu", ("nvidia",))):
        hardware = Hardware(machine=name, arch="x", accelerators=tuple(Accelerator(kind=kind, model="m") for kind in kinds))
        write(store_inventory, DeviceInventory(device=name, hardware=hardware, target=target, labels={"site": name}), DIGEST)


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        ("", ["cellar", "roof", "silent"]),
        ("class=nvidia-gpu", ["cellar"]),
        (f"class={UNKNOWN_CLASS}", ["silent"]),
        ("accelerator=nvidia", ["cellar"]),
        ("site!=roof", ["cellar", "silent"]),
        ("device=roof,site=cellar", []),
    ],
)
def test_a_selection_lists_the_devices_that_it_means(read: Run, selection: str, wanted: list[str]) -> None:
    """By id, and by what they are and are labelled with."""
    assert [device.id for device in read(list_devices, selection)] == wanted


@pytest.mark.usefixtures("fleet")
def test_labels_set_here_win_over_declared_ones(read: Run, write: Run) -> None:
    """An empty value takes one away, also a declared one, and a selection sees what is left."""
    assert write(set_labels, "roof", {"site": "garden", "ring": "1"}).labels == {"ring": "1", "site": "garden"}
    assert write(set_labels, "roof", {"site": ""}).labels == {"ring": "1"}
    assert write(set_labels, "roof", {"ring": ""}).labels == {}
    assert read(list_devices, "site=roof") == []


@pytest.mark.usefixtures("fleet")
def test_labels_stay_when_the_inventory_comes_again(write: Run, read: Run) -> None:
    """A device that restarts does not undo what people said of it."""
    write(set_labels, "roof", {"site": "garden"})
    hardware = Hardware(machine="roof", arch="x")
    write(store_inventory, DeviceInventory(device="roof", hardware=hardware, target="x", labels={"site": "other", "new": "1"}), DIGEST)
    assert read(find_device, "roof").labels == {"new": "1", "site": "garden"}


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("name", "value"),
    [("class", "x"), ("device", "x"), ("si te", "x"), ("", "x"), ("a", "b,c"), ("a", "b=c"), ("a", "x" * 201), ("a", "\x1b[0m"), ("a", " x")],
)
def test_a_label_that_no_selection_could_name_is_refused(write: Run, read: Run, name: str, value: str) -> None:
    """And changes nothing."""
    with pytest.raises(InputError):
        write(set_labels, "roof", {"good": "1", name: value})
    assert read(find_device, "roof").labels == {"site": "roof"}


@pytest.mark.usefixtures("fleet")
def test_markup_in_a_label_is_only_text(write: Run, read: Run) -> None:
    """It is stored as it was written; whoever shows it must escape it."""
    write(set_labels, "roof", {"note": "<script>alert(1)</script>"})
    assert read(find_device, "roof").labels["note"] == "<script>alert(1)</script>"


@pytest.mark.usefixtures("fleet")
def test_labels_have_a_bound(write: Run) -> None:
    """More than MAX_LABELS are refused."""
    with pytest.raises(InputError, match=f"{MAX_LABELS} is the most"):
        write(set_labels, "roof", {f"name-{number}": "1" for number in range(MAX_LABELS + 1)})


@pytest.mark.usefixtures("fleet")
def test_an_unknown_device_is_named_with_the_known_ones(read: Run, write: Run) -> None:
    """So does labelling one; of many only some are named."""
    with pytest.raises(UnknownName, match=r"no such device.*cellar, roof, silent"):
        write(set_labels, "attic", {"a": "b"})
    write(see_devices, [f"many-{number}" for number in range(50)], 10)
    with pytest.raises(UnknownName, match="and more") as caught:
        read(find_device, "attic")
    assert len(str(caught.value)) < 300


@pytest.mark.usefixtures("fleet")
def test_being_seen_moves_only_the_last_time(write: Run, read: Run) -> None:
    """A device keeps when it was first seen, and is online again."""
    write(mark_offline, ["roof", "cellar"])
    write(see_devices, ["roof"], 99)
    device = read(find_device, "roof")
    assert (device.first_seen_ms, device.last_seen_ms) == (10, 99)
    assert read(find_online, ["roof", "cellar", "nobody"]) == {"roof"}


@pytest.mark.usefixtures("fleet")
def test_what_was_not_said_is_none(read: Run) -> None:
    """A device without a status or an inventory has none, and neither has one that nobody knows."""
    assert (read(read_status, "silent"), read(read_inventory, "silent"), read(read_inventory, "nobody"), read(list_statuses)) == (
        None,
        None,
        None,
        {},
    )
