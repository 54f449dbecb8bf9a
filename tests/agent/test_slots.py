"""Slots point to the old release or to the new one, and what no slot needs is removed."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.bundles import open_bundle
from edgekit.errors import DeviceError, InputError, TrustError
from edgekit.files import digest_bytes
from edgekit_agent import slots as slots_module
from edgekit_agent.slots import Installed, ModelSlots, SlotStore

ONE, TWO = (Installed(release=f"digits@{version}", digest=digest_bytes(version.encode()), variant="onnx-fp32") for version in ("1.0.0", "2.0.0"))


@pytest.fixture
def store(tmp_path: Path) -> SlotStore:
    return SlotStore(tmp_path / "state")


def adopt(store: SlotStore, bundle: Path, release: str, variant: str = "onnx-fp32") -> Installed:
    with store.locking():
        return store.adopt(open_bundle(bundle, (variant,)), release)


def list_files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_activating_keeps_the_previous_release():
    """What was active is what a rollback returns to; the same once more changes nothing."""
    slots = ModelSlots().activate(ONE).activate(TWO)
    assert (slots.active, slots.previous, slots.trial) == (TWO, ONE, None)
    assert slots.activate(TWO) is slots
    assert slots.held == (TWO, ONE)


def test_a_trial_is_committed_or_dropped():
    """Committed, it is active, and what was active the previous one; dropped, nothing else has changed; without one, nothing has."""
    trying = ModelSlots(active=ONE, trial=TWO)
    assert trying.commit() == ModelSlots(active=TWO, previous=ONE)
    assert trying.drop() == ModelSlots(active=ONE)
    assert ModelSlots(trial=TWO).commit() == ModelSlots(active=TWO)
    assert ModelSlots(active=ONE, previous=TWO).commit() == ModelSlots(active=ONE, previous=TWO)
    assert ModelSlots(active=ONE).activate(None) == ModelSlots(previous=ONE)


def test_what_is_held_is_found_by_its_digest():
    """In whatever slot it is, and in the variant that is asked for."""
    slots = ModelSlots(active=ONE, previous=TWO)
    assert slots.find_held(TWO.digest, None) == TWO
    assert slots.find_held(TWO.digest, "onnx-fp32") == TWO
    assert slots.find_held(TWO.digest, "onnx-int8") is None
    assert slots.find_held(digest_bytes(b"other"), None) is None


def test_the_trial_slot_is_on_the_disk(store, make_bundle):
    """A release on trial is kept beside the active one, and so are the files of both; then either stays."""
    first = adopt(store, make_bundle("one", seed=1), "digits@1.0.0")
    with store.locking():
        second = store.adopt_trial(open_bundle(make_bundle("two", seed=2)), "digits@2.0.0")
        store.clean()
        assert store.read_slots("digits") == ModelSlots(active=first, trial=second)
        store.open_release(second)
        store.drop_trial("digits")
        store.try_again("digits", second)
        store.commit_trial("digits")
        assert store.read_slots("digits") == ModelSlots(active=second, previous=first)
        store.deactivate("digits")
        store.clean()
    assert store.read_slots("digits") == ModelSlots(previous=second)
    assert len(list((store.root / "releases").iterdir())) == 1


def test_an_adopted_release_can_be_opened(store, make_bundle):
    """What was adopted opens verified, and the slots on the disk name it."""
    installed = adopt(store, make_bundle(), "digits@1.0.0")
    bundle = store.open_release(installed)
    assert (bundle.manifest.name, [variant.id for variant in bundle.variants]) == ("digits", ["onnx-fp32"])
    active = json.loads((store.root / "models" / "digits" / "slots.json").read_bytes())["active"]
    assert active == {"release": "digits@1.0.0", "digest": installed.digest, "variant": "onnx-fp32"}
    assert store.list_models() == ["digits"]


def test_files_are_stored_once_and_linked(store, make_bundle):
    """A release's directory takes no room of its own: its files are links to the blobs."""
    installed = adopt(store, make_bundle(), "digits@1.0.0")
    model = store.open_release(installed).path_of(store.open_release(installed).variants[0])
    assert model.stat().st_nlink == 2


def test_a_changed_byte_in_an_installed_release_is_noticed(store, make_bundle):
    """An installed model that rotted on the disk is not opened."""
    installed = adopt(store, make_bundle(), "digits@1.0.0")
    path = store.root / "releases" / installed.directory / "variants" / "onnx-fp32" / "model.onnx"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(TrustError, match="the bytes have changed"):
        store.open_release(installed)
    assert adopt(store, make_bundle(), "digits@1.0.0") == installed
    assert store.open_release(installed).digest == installed.digest


def test_a_rollback_returns_to_the_previous_release_and_back(store, make_bundle):
    """Rolling back twice is where one began."""
    first = adopt(store, make_bundle("one", seed=1), "digits@1.0.0")
    second = adopt(store, make_bundle("two", seed=2), "digits@2.0.0")
    assert store.roll_back("digits") == first
    assert store.read_slots("digits") == ModelSlots(active=first, previous=second)
    assert store.roll_back("digits") == second


def test_a_rollback_needs_something_to_return_to(store, make_bundle):
    """Without a previous release, or with a damaged one, nothing is changed."""
    with pytest.raises(InputError, match="no previous release"):
        store.roll_back("digits")
    first = adopt(store, make_bundle("one", seed=1), "digits@1.0.0")
    second = adopt(store, make_bundle("two", seed=2), "digits@2.0.0")
    (store.root / "releases" / first.directory / "golden.npz").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        store.roll_back("digits")
    assert store.read_slots("digits").active == second


def test_what_no_slot_needs_is_removed(store, make_bundle):
    """After a third release the first one's files go, shared ones stay, and both slots still open."""
    for number in (1, 2, 3):
        adopt(store, make_bundle(str(number), seed=number), f"digits@{number}.0.0")
    (store.root / "staging" / "left").mkdir(parents=True)
    (store.blobs / ".aa.partial").write_bytes(b"half")
    with store.locking():
        store.clean(keep_partial=True)
    assert (store.blobs / ".aa.partial").exists()
    with store.locking():
        store.clean()
    held = store.read_slots("digits").held
    assert [one.release for one in held] == ["digits@3.0.0", "digits@2.0.0"]
    assert len(list((store.root / "releases").iterdir())) == 2
    assert len(list(store.blobs.iterdir())) == 3
    assert not (store.root / "staging").exists()
    for one in held:
        store.open_release(one)


def test_two_variants_of_one_release_share_its_directory(store, make_bundle):
    """Changing the variant of the active release keeps the other one for a rollback."""
    bundle = make_bundle(variants=("onnx-fp32", "onnx-int8"))
    first = adopt(store, bundle, "digits@1.0.0", "onnx-fp32")
    second = adopt(store, bundle, "digits@1.0.0", "onnx-int8")
    assert first.directory == second.directory
    with store.locking():
        store.clean()
        assert store.roll_back("digits") == first
    store.open_release(first)
    store.open_release(second)


STEPS = ("store_blob", "replacing_directory", "write_file")


@pytest.mark.parametrize("step", STEPS)
def test_a_full_disk_at_any_step_leaves_the_old_release(store, make_bundle, monkeypatch, step):
    """Wherever the disk runs full, the active release, its files and the pointer are what they were."""
    first = adopt(store, make_bundle("one", seed=1), "digits@1.0.0")
    before = list_files(store.root)

    def full(*_args, **_more):
        raise DeviceError("disk", "the disk is full")

    monkeypatch.setattr(slots_module, step, full)
    with pytest.raises(DeviceError):
        adopt(store, make_bundle("two", seed=2), "digits@2.0.0")
    monkeypatch.undo()
    with store.locking():
        store.clean()
    assert list_files(store.root) == before
    store.open_release(first)


def test_a_real_full_disk_is_named(store, make_bundle, monkeypatch):
    """ENOSPC from the system becomes a DeviceError that says the disk is full."""

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("edgekit.files.os.fsync", full)
    with pytest.raises(DeviceError, match="disk is full"):
        adopt(store, make_bundle(), "digits@1.0.0")
    assert store.read_slots("digits") == ModelSlots()


CRASHING = """
import os, sys
from pathlib import Path
from edgekit.bundles import open_bundle
from edgekit_agent import slots
from edgekit_agent.slots import SlotStore

calls = 0
def crash_before(name, at):
    real = getattr(os, name)
    def call(*args, **more):
        global calls
        calls += 1
        if calls == at:
            os._exit(77)
        return real(*args, **more)
    setattr(os, name, call)

state, bundle, at = sys.argv[1:]
for name in ("replace", "rename", "link", "mkdir"):
    crash_before(name, int(at))
store = SlotStore(Path(state))
with store.locking():
    store.adopt(open_bundle(Path(bundle)), "digits@2.0.0")
"""


def test_a_crash_at_any_moment_leaves_the_old_release_or_the_new(store, make_bundle):
    """A process that dies before any of its changes to the disk leaves slots that open; at last, the new one."""
    first = adopt(store, make_bundle("one", seed=1), "digits@1.0.0")
    new = make_bundle("two", seed=2)
    for moment in range(1, 40):
        run = subprocess.run([sys.executable, "-c", CRASHING, store.root, new, str(moment)], check=False, timeout=60)
        active = store.read_slots("digits").active
        assert active is not None
        store.open_release(active)
        if run.returncode == 0:
            break
        assert run.returncode == 77
        with store.locking():
            store.clean()
        if active == first:
            assert store.read_slots("digits") == ModelSlots(active=first)
    assert moment > 5
    assert active.release == "digits@2.0.0"
    assert store.read_slots("digits").previous == first


def test_two_installers_do_not_collide(store):
    """While one holds the lock, another is refused and told why; then it is free again."""
    with store.locking(), pytest.raises(DeviceError, match="at work"), SlotStore(store.root).locking():
        pass
    with store.locking():
        pass


def test_damaged_slots_are_refused_by_name(store, make_bundle):
    """A slots.json that is no record is not taken for an empty one, and nothing is removed that it may need."""
    adopt(store, make_bundle(), "digits@1.0.0")
    (store.root / "models" / "digits" / "slots.json").write_text("{")
    before = list_files(store.root)
    with pytest.raises(DeviceError, match=r"slots\.json.*Remove this file"):
        store.read_slots("digits")
    with store.locking(), pytest.raises(DeviceError):
        store.clean()
    assert list_files(store.root) == before
