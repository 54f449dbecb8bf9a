"""Publishing: the old or the new state, never a mixture, and a release never changes."""

import errno
import json
import os
import shutil
from datetime import timedelta

import pytest
from tuf.ngclient import Updater

from edgekit.bundles import open_bundle
from edgekit.errors import DeviceError, DigestMismatch, InputError, TrustError
from edgekit.files import digest_bytes, digest_file
from edgekit.locks import holding_lock
from edgekit.releases.metadata import list_targets
from edgekit.releases.publishing import refresh_repository
from edgekit.releases.repository import LOCK, read_state
from edgekit.releases.versions import parse_reference
from edgekit.signing import new_keys


def snapshot_tree(root):
    """Every file below *root* with its bytes."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_repository_is_plain_files(publish, small_bundle, repository):
    """After the first publication every file lies where the layout says, and nothing else does but the lock."""
    done = publish(small_bundle)
    blobs = {f"blobs/sha256/{entry.digest[7:]}" for entry in small_bundle.manifest.files}
    metadata = {f"metadata/{name}.json" for name in ("1.root", "1.targets", "1.snapshot", "timestamp")}
    target = f"targets/digits/1.0.0/{small_bundle.digest[7:]}.manifest.json"
    assert snapshot_tree(repository).keys() == blobs | metadata | {target, LOCK}
    assert done.is_new
    assert done.release.digest == small_bundle.digest
    assert done.root == digest_file(repository / "metadata" / "1.root.json")


def test_python_tufs_own_client_reads_it(publish, small_bundle, repository, tmp_path, serve):
    """A standard TUF client, with its own fetcher, gets the manifest and its custom metadata over HTTP."""
    publish(small_bundle)
    base = serve(repository)
    root = (repository / "metadata" / "1.root.json").read_bytes()
    for name in ("theirs", "targets"):
        (tmp_path / name).mkdir()
    updater = Updater(str(tmp_path / "theirs"), base + "metadata/", str(tmp_path / "targets"), base + "targets/", bootstrap=root)
    info = updater.get_targetinfo("digits/1.0.0/manifest.json")
    assert info.custom == {"name": "digits", "version": "1.0.0"}
    with open(updater.download_target(info), "rb") as file:
        assert digest_bytes(file.read()) == small_bundle.digest


def test_releases_share_their_files(publish, make_small_bundle, repository, make_client):
    """A second release adds only what is new, and the first stays."""
    publish(make_small_bundle(b"first"))
    before = len(list((repository / "blobs" / "sha256").iterdir()))
    publish(make_small_bundle(b"second"), "1.1.0")
    assert len(list((repository / "blobs" / "sha256").iterdir())) == before + 1
    assert [str(one.reference) for one in make_client().list_releases()] == ["digits@1.0.0", "digits@1.1.0"]


def test_the_same_bytes_again_change_nothing(publish, small_bundle, repository):
    """Publishing what is there already says so and leaves every file as it was."""
    publish(small_bundle)
    before = snapshot_tree(repository)
    assert not publish(small_bundle).is_new
    assert snapshot_tree(repository) == before


def test_a_release_never_changes(publish, make_small_bundle, repository):
    """The same version with other bytes is refused, and nothing is written."""
    publish(make_small_bundle(b"first"))
    before = snapshot_tree(repository)
    with pytest.raises(InputError, match="a release never changes"):
        publish(make_small_bundle(b"second"))
    assert snapshot_tree(repository) == before


def test_publishing_again_mends_a_lost_blob(publish, small_bundle, repository):
    """A blob that was lost or damaged is put back by publishing the same release again."""
    publish(small_bundle)
    before = snapshot_tree(repository)
    lost, damaged, *_ = sorted((repository / "blobs" / "sha256").iterdir())
    lost.unlink()
    damaged.write_bytes(b"?")
    publish(small_bundle)
    assert snapshot_tree(repository) == before


class Stop(Exception):
    """The power goes."""


@pytest.mark.parametrize("is_first", [True, False])
def test_a_crash_at_any_step_is_mended_by_publishing_again(publish, make_small_bundle, repository, tmp_path, monkeypatch, is_first):
    """Whichever rename is the last that happened, a reader sees the old state or the new one, and publishing again succeeds."""
    old, new = make_small_bundle(b"old"), make_small_bundle(b"new")
    if not is_first:
        publish(old, "1.0.0")
    start = tmp_path / "start"
    if repository.exists():
        shutil.copytree(repository, start)
    replace, steps = os.replace, 0
    while True:
        shutil.rmtree(repository, ignore_errors=True)
        if start.exists():
            shutil.copytree(start, repository)
        left = [steps]

        def stop_after(source, destination, left=left):
            if not left[0]:
                raise Stop
            left[0] -= 1
            replace(source, destination)

        monkeypatch.setattr(os, "replace", stop_after)
        try:
            publish(new, "1.1.0")
            break
        except Stop:
            monkeypatch.setattr(os, "replace", replace)
        old_releases = [] if is_first else ["1.0.0"]
        if (repository / "metadata" / "1.root.json").exists():
            state = read_state(repository)
            assert [one.version for one in list_targets(state.targets)] == old_releases
        assert publish(new, "1.1.0").is_new
        assert [one.version for one in list_targets(read_state(repository).targets)] == [*old_releases, "1.1.0"]
        steps += 1
    # Blobs (golden, two models, and one more file unless it is shared), the manifest, and targets, snapshot, timestamp.
    assert steps == (9 if is_first else 5)


def test_two_publishers_do_not_meet(publish, small_bundle, repository):
    """While another holds the lock, publishing is refused and changes nothing."""
    publish(small_bundle)
    before = snapshot_tree(repository)
    with holding_lock(repository / LOCK), pytest.raises(DeviceError, match="another edgekit"):
        publish(small_bundle, "1.1.0")
    assert snapshot_tree(repository) == before


@pytest.mark.parametrize("name", ["notes.txt", "metadata/other.json", ".git/config"])
def test_a_directory_with_other_things_is_left_alone(publish, small_bundle, repository, name):
    """A directory that holds anything else never becomes a repository."""
    (repository / name).parent.mkdir(parents=True)
    (repository / name).write_text("mine")
    with pytest.raises(InputError, match="no release repository"):
        publish(small_bundle)
    assert snapshot_tree(repository) == {name: b"mine"}


def test_a_file_is_no_repository(publish, small_bundle, repository):
    """A file in the place of the repository is refused."""
    repository.write_text("mine")
    with pytest.raises(InputError, match="it is a file"):
        publish(small_bundle)


def test_missing_keys_leave_no_repository(publish, small_bundle, repository, keys):
    """Where a key is missing, the first publication makes nothing at all."""
    (keys / "timestamp.pem").unlink()
    with pytest.raises(InputError, match=r"timestamp\.pem"):
        publish(small_bundle)
    assert not repository.exists()


def test_the_root_key_may_go_offline(publish, make_small_bundle, keys):
    """After the first publication the root key is not needed on this machine."""
    publish(make_small_bundle(b"first"))
    (keys / "root.pem").unlink()
    assert publish(make_small_bundle(b"second"), "1.1.0").is_new


def test_strange_keys_cannot_publish(publish, make_small_bundle, repository, keys):
    """A repository accepts only the keys that its root names, and says for which roles others were given."""
    publish(make_small_bundle(b"first"))
    before = snapshot_tree(repository)
    shutil.rmtree(keys)
    new_keys(keys)
    with pytest.raises(TrustError, match="--keys"):
        publish(make_small_bundle(b"second"), "1.1.0")
    assert snapshot_tree(repository) == before


def test_a_bad_version_is_refused_first(publish, small_bundle, repository):
    """What is no semantic version makes no repository."""
    with pytest.raises(InputError, match="semantic version"):
        publish(small_bundle, "latest")
    assert not repository.exists()


def test_a_part_of_a_bundle_is_no_release(publish, small_bundle):
    """A bundle of which only one variant is here cannot be published."""
    with pytest.raises(InputError, match="some of its variants"):
        publish(open_bundle(small_bundle.root, variants=("onnx-fp32",)))


@pytest.mark.parametrize("path", ["manifest.json", "variants/openvino-int8/model.bin"])
def test_a_bundle_that_changed_since_it_was_verified_is_refused(publish, small_bundle, repository, path):
    """Bytes that change between verifying and publishing do not become a release."""
    data = (small_bundle.root / path).read_bytes()
    (small_bundle.root / path).write_bytes(data[:-1] + b" ")
    with pytest.raises(DigestMismatch):
        publish(small_bundle)
    assert not (repository / "metadata" / "timestamp.json").exists()


@pytest.mark.parametrize("name", ["1.root", "1.targets", "1.snapshot", "timestamp"])
def test_a_damaged_repository_is_not_built_upon(publish, make_small_bundle, repository, name):
    """Where somebody changed the metadata, nothing more is signed on top of it."""
    publish(make_small_bundle(b"first"))
    path = repository / "metadata" / f"{name}.json"
    record = json.loads(path.read_text())
    record["signed"]["expires"] = "2999-01-01T00:00:00Z"
    path.write_text(json.dumps(record))
    with pytest.raises(TrustError, match="signed"):
        publish(make_small_bundle(b"second"), "1.1.0")


def test_a_missing_metadata_file_is_named(publish, small_bundle, repository):
    """A repository that lost a file says which one."""
    publish(small_bundle)
    (repository / "metadata" / "1.snapshot.json").unlink()
    with pytest.raises(InputError, match=r"1\.snapshot\.json"):
        publish(small_bundle)


def test_a_full_disk_changes_nothing_that_readers_see(publish, make_small_bundle, repository, monkeypatch):
    """Where there is no room for a blob, the old release stays the newest."""
    publish(make_small_bundle(b"first"))
    before = snapshot_tree(repository)

    def fail(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(DeviceError, match="full"):
            publish(make_small_bundle(b"second"), "1.1.0")
    assert snapshot_tree(repository) == before


def test_a_refresh_signs_what_nears_its_expiry(publish, small_bundle, repository, keys, now, make_client):
    """After half of their lifetime snapshot and timestamp are signed anew, and readers go on without a break."""
    publish(small_bundle, at=now - timedelta(days=20))
    client = make_client()
    client.refresh()
    done = refresh_repository(repository, keys, now)
    assert (done.renewed, done.waiting) == (("snapshot", "timestamp"), ())
    assert done.expires["timestamp"] == f"{now + timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}"
    assert [str(one.reference) for one in client.list_releases()] == ["digits@1.0.0"]


def test_a_fresh_repository_needs_no_refresh(publish, small_bundle, repository, keys, now):
    """While more than half of each lifetime is left, a refresh changes nothing."""
    publish(small_bundle)
    before = snapshot_tree(repository)
    assert refresh_repository(repository, keys, now).renewed == ()
    assert snapshot_tree(repository) == before


def test_a_refresh_brings_an_expired_repository_back(publish, small_bundle, repository, keys, now, make_client):
    """A repository that was left alone for two years is good again after one refresh with all keys, for old readers too."""
    publish(small_bundle, at=now - timedelta(days=730))
    client = make_client()
    with pytest.raises(TrustError):
        client.refresh()
    assert refresh_repository(repository, keys, now).renewed == ("root", "targets", "snapshot", "timestamp")
    assert client.find_release(parse_reference("digits@1.0.0")).digest == small_bundle.digest


def test_a_refresh_says_which_keys_it_lacks(publish, small_bundle, repository, keys, now):
    """With the online keys alone, a refresh signs what they may and names the roles that wait for a person."""
    publish(small_bundle, at=now - timedelta(days=200))
    for role in ("root", "targets"):
        (keys / f"{role}.pem").unlink()
    done = refresh_repository(repository, keys, now)
    assert (done.renewed, done.waiting) == (("snapshot", "timestamp"), ("root", "targets"))


def test_there_must_be_something_to_refresh(repository, keys, now):
    """A directory that is no repository, and a file that is not there, are refused."""
    repository.mkdir()
    with pytest.raises(InputError, match="not a release repository"):
        refresh_repository(repository, keys, now)
