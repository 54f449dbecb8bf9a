"""A release is installed whole and proven, or nothing is changed and the refusal says why."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgekit.bundles import open_bundle
from edgekit.errors import DeviceError, GateRefused, InputError, TransferError, TrustError
from edgekit.runtimes.memory import MemoryRuntime
from edgekit.targets import Hardware
from edgekit_agent.installing import Installer, Order, Source
from edgekit_agent.inventory import Machine
from edgekit_agent.serving import load_model
from edgekit_agent.slots import ModelSlots, SlotStore

FIRST, SECOND = Order("digits@1.0.0"), Order("digits@2.0.0")


@pytest.fixture
def store(tmp_path: Path) -> SlotStore:
    return SlotStore(tmp_path / "state")


@pytest.fixture
def installer(store, machine, publisher) -> Installer:
    return Installer(store, machine, Source(str(publisher.repository)))


def snapshot(store: SlotStore) -> dict[str, bytes]:
    """What decides and what is served: slots, releases and blobs. The trusted metadata may move on."""
    places = [store.root / name for name in ("models", "releases", "blobs", "staging")]
    return {str(path): path.read_bytes() for place in places for path in sorted(place.rglob("*")) if path.is_file()}


@contextmanager
def serving_files(directory: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_args):
            """Tests keep their output to themselves."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_release_is_installed_into_the_active_slot(store, installer, publisher, make_bundle):
    """After an installation the slot names release, digest and variant, and what is installed opens."""
    publisher.publish(make_bundle(), "1.0.0")
    done = installer.install(FIRST)
    assert done.changed
    assert (done.installed.release, done.installed.variant) == ("digits@1.0.0", "onnx-fp32")
    assert done.parity.n == 32
    assert done.reason.startswith("unmeasured on")
    assert store.read_slots("digits") == ModelSlots(active=done.installed)
    store.open_release(done.installed)


def test_the_same_release_again_changes_nothing(store, installer, publisher, make_bundle):
    """Installing what is active is no step back in the slots."""
    publisher.publish(make_bundle(), "1.0.0")
    installer.install(FIRST)
    before = snapshot(store)
    assert not installer.install(FIRST).changed
    assert snapshot(store) == before


def test_only_the_chosen_variant_is_fetched(store, installer, publisher, make_bundle):
    """A device keeps the golden samples and the files of one variant."""
    publisher.publish(make_bundle(variants=("onnx-fp32", "onnx-int8", "tflite-int8")), "1.0.0")
    assert installer.install(FIRST).installed.variant == "onnx-int8"
    assert installer.install(Order("digits@1.0.0", "onnx-fp32")).reason == "asked for by name"
    files = sorted(path.name for path in (store.root / "releases").rglob("*") if path.is_file())
    assert files == ["golden.npz", "manifest.json", "model.onnx", "model.onnx"]


def test_the_first_root_of_a_directory_is_said(installer, publisher, make_bundle, caplog):
    """Trust on first use is no secret: the root's digest is logged."""
    publisher.publish(make_bundle(), "1.0.0")
    installer.install(FIRST)
    assert "is trusted from now on: its first root is sha256:" in caplog.text


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def spoil_blob(publisher, bundle):
    flip(publisher.blob_of(bundle))


def truncate_blob(publisher, bundle):
    blob = publisher.blob_of(bundle)
    blob.write_bytes(blob.read_bytes()[:-100])


def spoil_manifest(publisher, _bundle):
    flip(next((publisher.repository / "targets" / "digits" / "2.0.0").iterdir()))


def strip_signatures(publisher, _bundle):
    path = publisher.repository / "metadata" / "timestamp.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"signatures": []}))


def remove_blob(publisher, bundle):
    publisher.blob_of(bundle).unlink()


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (spoil_blob, TrustError),
        (truncate_blob, (TrustError, TransferError)),
        (spoil_manifest, TrustError),
        (strip_signatures, TrustError),
        (remove_blob, TransferError),
    ],
)
def test_a_bad_release_changes_nothing(store, installer, publisher, make_bundle, spoil, error):
    """A flipped byte, a cut, a missing file or a broken signature leaves the slots and all they need byte for byte."""
    publisher.publish(make_bundle("one", seed=1), "1.0.0")
    installer.install(FIRST)
    bad = make_bundle("two", seed=2)
    publisher.publish(bad, "2.0.0")
    spoil(publisher, bad)
    before = snapshot(store)
    with pytest.raises(error):
        installer.install(SECOND)
    after = {path: data for path, data in snapshot(store).items() if not path.endswith(".partial")}
    assert after == before
    store.open_release(store.read_slots("digits").active)


def test_a_betrayed_release_changes_nothing(store, installer, publisher, make_bundle):
    """A signed release whose golden samples are another model's is refused as a whole, and no other variant is tried."""
    publisher.publish(make_bundle("one", seed=1, variants=("onnx-fp32", "onnx-int8")), "1.0.0")
    installer.install(FIRST)
    publisher.publish(make_bundle("two", seed=2, betrayed=True, variants=("onnx-fp32", "onnx-int8")), "2.0.0")
    before = snapshot(store)
    with pytest.raises(GateRefused, match=r"onnx-int8.*--variant"):
        installer.install(SECOND)
    assert snapshot(store) == before


def test_an_empty_device_stays_empty_after_a_refusal(store, installer, publisher, make_bundle):
    """The first release being bad leaves no slot, no release and no blob."""
    publisher.publish(make_bundle(betrayed=True), "1.0.0")
    with pytest.raises(GateRefused):
        installer.install(FIRST)
    assert snapshot(store) == {}
    assert store.list_models() == []


def test_an_unknown_release_lists_those_that_exist(installer, publisher, make_bundle):
    """A wrong version is bad input."""
    publisher.publish(make_bundle(), "1.0.0")
    with pytest.raises(InputError, match=r"digits@2\.0\.0.*digits@1\.0\.0"):
        installer.install(SECOND)


def test_a_device_without_a_runtime_fetches_nothing(store, publisher, make_bundle):
    """The variant is chosen by the manifest, before any file of a model is fetched."""
    publisher.publish(make_bundle(), "1.0.0")
    bare = Machine(Hardware(machine="box", arch="x86_64"), {"memory": MemoryRuntime()})
    with pytest.raises(DeviceError, match=r"edgekit\[onnx\]"):
        Installer(store, bare, Source(str(publisher.repository))).install(FIRST)
    assert snapshot(store) == {}


def test_a_server_is_not_trusted_by_itself(store, machine, publisher, make_bundle):
    """From a URL nothing is installed until the publisher's root was given; then it is."""
    publisher.publish(make_bundle(), "1.0.0")
    with serving_files(publisher.repository) as url:
        with pytest.raises(TrustError, match="--trust-root FILE"):
            Installer(store, machine, Source(url)).install(FIRST)
        assert store.list_models() == []
        root = publisher.repository / "metadata" / "1.root.json"
        Installer(store, machine, Source(url, root)).install(FIRST)
        assert not Installer(store, machine, Source(url)).install(FIRST).changed


def test_another_publisher_is_not_trusted(store, installer, publisher, make_bundle, tmp_path, machine):
    """A device that trusts one publisher installs nothing of another, even from a directory."""
    publisher.publish(make_bundle(), "1.0.0")
    installer.install(FIRST)
    stranger = type(publisher)(tmp_path / "stranger")
    stranger.publish(make_bundle("two", seed=2), "2.0.0")
    before = snapshot(store)
    with pytest.raises(TrustError):
        Installer(store, machine, Source(str(stranger.repository))).install(SECOND)
    assert snapshot(store) == before


def test_what_broke_off_is_continued(store, machine, publisher, make_bundle):
    """After a transfer that failed, the files that had come are not fetched again."""
    bundle = make_bundle()
    publisher.publish(bundle, "1.0.0")
    blob = publisher.blob_of(bundle)
    hidden = blob.with_name("hidden")
    shutil.move(blob, hidden)
    installer = Installer(store, machine, Source(str(publisher.repository)))
    with pytest.raises(TransferError):
        installer.install(FIRST)
    golden = [path for path in store.blobs.iterdir() if not path.name.endswith(".partial")]
    assert len(golden) == 1
    shutil.move(hidden, blob)
    inode = golden[0].stat().st_ino
    assert installer.install(FIRST).changed
    assert golden[0].stat().st_ino == inode


def test_an_installation_waits_for_no_other(store, installer, publisher, make_bundle):
    """A second installer is told that one is at work."""
    publisher.publish(make_bundle(), "1.0.0")
    with store.locking(), pytest.raises(DeviceError, match="at work"):
        installer.install(FIRST)


def test_a_contract_travels_with_its_release(store, machine, publisher, make_contract_bundle):
    """Over HTTP a device fetches the tokeniser and the golden raw items too, proves them, and what is installed answers a text."""
    publisher.publish(make_contract_bundle("text", name="digits"), "1.0.0")
    root = publisher.repository / "metadata" / "1.root.json"
    with serving_files(publisher.repository) as url:
        done = Installer(store, machine, Source(url, root)).install(FIRST)
    assert done.raw_proof.startswith("6 golden raw items become what was recorded")
    bundle = store.open_release(done.installed)
    assert {entry.path for entry in bundle.manifest.shared_files} == {"golden.npz", "golden-raw.npz", "processing/tokenizer.json"}
    live = load_model(bundle, bundle.variants[0], machine)
    try:
        assert live.feed({"review": b"a good day"}).inputs["ids"].tolist() == [[6, 2, 7, 0, 0, 0]]
    finally:
        live.retire()
    store.clean()
    assert load_model(store.open_release(done.installed), bundle.variants[0], machine).info.raw.unavailable is None


@pytest.mark.parametrize("path", ["processing/tokenizer.json", "golden-raw.npz"])
def test_a_changed_file_of_a_contract_is_refused(store, installer, publisher, make_contract_bundle, path):
    """A tokeniser or recorded items with a byte changed on their way are not installed."""
    bundle = make_contract_bundle("text", name="digits")
    publisher.publish(bundle, "1.0.0")
    entry = next(entry for entry in open_bundle(bundle).manifest.shared_files if entry.path == path)
    flip(publisher.repository / "blobs" / "sha256" / entry.digest.removeprefix("sha256:"))
    with pytest.raises(TrustError):
        installer.install(FIRST)
    assert snapshot(store) == {}


def test_a_wrong_contract_is_not_installed(store, installer, publisher, make_contract_bundle):
    """A release whose contract has blue for red is refused by that name, and leaves nothing behind."""
    publisher.publish(make_contract_bundle("image", name="digits", confused=True), "1.0.0")
    with pytest.raises(GateRefused, match="looks like RGB"):
        installer.install(FIRST)
    assert snapshot(store) == {}


def test_an_installation_says_what_it_could_not_prove(store, installer, publisher, make_contract_bundle, lack_libraries):
    """Where the contract's libraries are missing the release is installed all the same, and what is unproven is said."""
    publisher.publish(make_contract_bundle("text", name="digits"), "1.0.0")
    lack_libraries("tokenizers")
    done = installer.install(FIRST)
    assert done.changed
    assert done.raw_proof.startswith("unproven raw: library 'tokenizers'")
    assert "edgekit[text]" in done.raw_proof
