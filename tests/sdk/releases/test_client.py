"""Fetching releases: all of it, only what is needed, and nothing that the publisher did not sign."""

import json
import shutil
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from edgekit.bundles import open_bundle
from edgekit.errors import DigestMismatch, EdgekitError, InputError, SourceMissing, TransferError, TrustError, UnknownName
from edgekit.files import digest_bytes
from edgekit.releases.client import ReleaseClient, visiting
from edgekit.releases.metadata import add_release
from edgekit.releases.publishing import Publisher, publish_release, refresh_repository
from edgekit.releases.versions import Release, parse_reference
from edgekit.signing import new_keys

DIGITS = parse_reference("digits@1.0.0")


def choose_all(manifest):
    return [variant.id for variant in manifest.variants]


def choose_first(manifest):
    return [manifest.variants[0].id]


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(params=["directory", "file", "http"])
def location(request, repository, serve):
    """The repository, as each kind of location names it. It need not be there yet."""
    repository.mkdir(exist_ok=True)
    return {"directory": str, "file": Path.as_uri, "http": serve}[request.param](repository)


def test_a_release_comes_as_it_was_published(publish, small_bundle, location, make_client, tmp_path):
    """From a directory and from a server, the bundle is the publisher's, file for file."""
    publish(small_bundle)
    fetched = make_client(location).fetch_release(DIGITS, tmp_path / "fetched", choose_all)
    assert (fetched.digest, fetched.variants) == (small_bundle.digest, small_bundle.variants)
    assert files(tmp_path / "fetched") == files(small_bundle.root)


def test_only_what_is_chosen_comes(publish, small_bundle, location, make_client, tmp_path):
    """A device that chose one variant has its files, the golden samples and the manifest, and no more."""
    publish(small_bundle)
    seen = []
    fetched = make_client(location).fetch_release(DIGITS, tmp_path / "fetched", choose_first, lambda *step: seen.append(step))
    assert [variant.id for variant in fetched.variants] == ["onnx-fp32"]
    assert files(tmp_path / "fetched").keys() == {"manifest.json", "golden.npz", "variants/onnx-fp32/model.onnx"}
    assert seen == [("golden.npz", 0, 2), ("variants/onnx-fp32/model.onnx", 1, 2)]


def test_releases_are_listed_and_shown(publish, make_small_bundle, location, make_client):
    """The list has every release from old to new, and a manifest can be read without fetching the rest."""
    first, second = make_small_bundle(b"first"), make_small_bundle(b"second")
    publish(second, "1.10.0")
    publish(first, "1.9.0")
    client = make_client(location)
    assert [(one.version, one.digest) for one in client.list_releases()] == [("1.9.0", first.digest), ("1.10.0", second.digest)]
    assert client.read_manifest(parse_reference("digits@1.10.0")) == second.manifest


def test_a_fetch_that_broke_off_is_ended_by_another(publish, small_bundle, repository, make_client, tmp_path):
    """After a missing blob came back, the same fetch succeeds with what it had."""
    publish(small_bundle)
    model = small_bundle.manifest.variants[0].files[0].digest.removeprefix("sha256:")
    shutil.move(repository / "blobs" / "sha256" / model, tmp_path / "away")
    client = make_client()
    with pytest.raises(SourceMissing, match=model):
        client.fetch_release(DIGITS, tmp_path / "fetched", choose_all)
    assert (tmp_path / "fetched" / "golden.npz").exists()
    shutil.move(tmp_path / "away", repository / "blobs" / "sha256" / model)
    client.fetch_release(DIGITS, tmp_path / "fetched", choose_all)
    assert files(tmp_path / "fetched") == files(small_bundle.root)


def test_what_two_releases_share_is_fetched_once(publish, make_small_bundle, repository, make_client, tmp_path):
    """With a directory of blobs, a second release needs only its new files, even when the source lost the others."""
    publish(make_small_bundle(b"first"))
    client = make_client(blobs=tmp_path / "kept")
    client.fetch_release(DIGITS, tmp_path / "one", choose_all)
    second = make_small_bundle(b"second")
    publish(second, "1.1.0")
    for blob in (tmp_path / "kept").iterdir():
        (repository / "blobs" / "sha256" / blob.name).unlink()
    client.fetch_release(parse_reference("digits@1.1.0"), tmp_path / "two", choose_all)
    assert files(tmp_path / "two") == files(second.root)


def test_an_unknown_release_is_answered_with_the_known(publish, small_bundle, make_client, tmp_path):
    """A version that does not exist is refused with the list of those that do, and nothing is written."""
    publish(small_bundle)
    with pytest.raises(UnknownName, match=r"Known here: digits@1\.0\.0"):
        make_client().fetch_release(parse_reference("digits@9.9.9"), tmp_path / "fetched", choose_all)
    assert not (tmp_path / "fetched").exists()


def test_an_unknown_variant_is_refused(publish, small_bundle, make_client, tmp_path):
    """A variant that the release does not have is refused with the list of those that it has."""
    publish(small_bundle)
    with pytest.raises(UnknownName, match="onnx-fp32"):
        make_client().fetch_release(DIGITS, tmp_path / "fetched", lambda manifest: ["tflite-int4"])


def test_nothing_is_trusted_silently(publish, small_bundle, location, tmp_path):
    """A client that was told nothing refuses to read, and says how to be told."""
    publish(small_bundle)
    client = ReleaseClient(location, tmp_path / "trust")
    assert not client.is_pinned
    for act in (client.refresh, client.list_releases, lambda: client.fetch_release(DIGITS, tmp_path / "fetched", choose_all)):
        with pytest.raises(TrustError, match="--trust-root"):
            act()
    assert not (tmp_path / "fetched").exists()


def test_the_first_root_is_pinned_when_asked(publish, small_bundle, location, repository, tmp_path):
    """pin_first_root trusts what the repository offers, once, and says its digest."""
    publish(small_bundle)
    root = (repository / "metadata" / "1.root.json").read_bytes()
    client = ReleaseClient(location, tmp_path / "trust")
    assert client.pin_first_root() == client.pin_first_root() == digest_bytes(root)
    assert client.is_pinned
    assert [one.reference for one in client.list_releases()] == [DIGITS]


def test_a_newer_root_of_the_same_publisher_may_be_given(publish, small_bundle, repository, keys, now, make_client):
    """Once the pinned root has led to a newer one, that one is known too, and trust still begins where it began."""
    publish(small_bundle, at=now - timedelta(days=200))
    renewed = refresh_repository(repository, keys, now).renewed
    assert "root" in renewed
    newer = (repository / "metadata" / "2.root.json").read_bytes()
    client = make_client()
    with pytest.raises(TrustError, match="another publisher"):
        client.trust_root(newer)
    client.refresh()
    assert client.trust_root(newer) == digest_bytes(newer)
    assert client.pin_first_root() == digest_bytes((repository / "metadata" / "1.root.json").read_bytes())


def test_what_is_local_is_known(repository):
    """A directory and a file: address are local, and a server is not."""
    locations = [str(repository), repository.as_uri(), "http://127.0.0.1/"]
    assert [ReleaseClient(one, repository).is_local for one in locations] == [True, True, False]


def test_a_visit_leaves_nothing(publish, small_bundle, repository, tmp_path):
    """A visit trusts the root that it is given, or the repository's own, and forgets it."""
    publish(small_bundle)
    root = (repository / "metadata" / "1.root.json").read_bytes()
    for given in (None, root):
        with visiting(str(repository), given) as (client, digest):
            assert digest == digest_bytes(root)
            assert [one.reference for one in client.list_releases()] == [DIGITS]


def test_a_directory_without_a_repository_is_bad_input(tmp_path, make_client, publish, small_bundle):
    """A local directory that holds no repository is told from a server that is away."""
    publish(small_bundle)
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(InputError):
            make_client(place).refresh()


def test_a_server_without_a_repository_is_a_failed_transfer(tmp_path, make_client, publish, small_bundle, serve):
    """A server that has nothing at the address may have it later."""
    publish(small_bundle)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TransferError, match="404"):
        make_client(serve(tmp_path / "empty")).refresh()


# The attacks of the TUF specification, section 1.5.2, and what a bad disk does.


def flip(path, at=-1):
    """Change one bit of one byte."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


@pytest.fixture
def attacked(publish, small_bundle, make_client, tmp_path, repository):
    """Publishes, lets one client see it, changes the repository, and expects every client to refuse, with nothing to use."""

    def attack(change, error, match):
        publish(small_bundle)
        clients = [make_client(trust="old"), make_client(trust="new")]
        clients[0].refresh()
        change(repository)
        for number, client in enumerate(clients):
            with pytest.raises(error, match=match):
                client.fetch_release(DIGITS, tmp_path / f"fetched{number}", choose_all)
            with pytest.raises(EdgekitError):
                open_bundle(tmp_path / f"fetched{number}")

    return attack


@pytest.mark.parametrize("index", range(4))
def test_a_flipped_bit_in_any_blob_is_found(attacked, small_bundle, index):
    """One bit of one file of the bundle is enough for the whole release to be refused."""
    blob = small_bundle.manifest.files[index].digest.removeprefix("sha256:")
    attacked(lambda repository: flip(repository / "blobs" / "sha256" / blob), DigestMismatch, blob)


@pytest.mark.parametrize("at", [0, 1000, -1])
def test_a_flipped_bit_in_the_manifest_is_found(attacked, at):
    """The manifest is what was signed, to the last bit."""
    attacked(lambda repository: flip(next(repository.glob("targets/*/*/*.json")), at), TrustError, "signed for")


@pytest.mark.parametrize("role", ["targets", "snapshot"])
@pytest.mark.parametrize("at", [0, 400, -1])
def test_a_flipped_bit_in_listed_metadata_is_found(publish, small_bundle, make_client, repository, role, at):
    """What the timestamp and the snapshot vouch for is held to its digest."""
    publish(small_bundle)
    flip(repository / "metadata" / f"1.{role}.json", at)
    with pytest.raises(TrustError, match="signed for"):
        make_client().refresh()


def test_every_flipped_bit_in_the_timestamp_is_harmless(publish, small_bundle, make_client, repository, tmp_path):
    """No bit of the timestamp can be changed so that something else is accepted: it is refused, or says the same."""
    publish(small_bundle)
    path = repository / "metadata" / "timestamp.json"
    data = path.read_bytes()
    for at in range(0, len(data), 17):
        flip(path, at)
        with suppress(TrustError):
            assert [one.digest for one in make_client(trust=f"trust{at}").list_releases()] == [small_bundle.digest]
        path.write_bytes(data)


def test_stripped_signatures_are_found(attacked):
    """Metadata without signatures is refused."""

    def strip(repository):
        path = repository / "metadata" / "timestamp.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "signatures": []}))

    attacked(strip, TrustError, "not signed by the keys")


def test_a_strangers_repository_is_refused(attacked, make_small_bundle, tmp_path, now):
    """A whole repository of somebody else, in the place of the publisher's, is refused."""

    def replace(repository):
        new_keys(tmp_path / "strange")
        shutil.rmtree(repository)
        for version in ("1.0.0", "1.1.0"):
            publish_release(make_small_bundle(version.encode()), version, repository, tmp_path / "strange", now)

    attacked(replace, TrustError, "not signed by the keys")


def test_a_rollback_is_found(publish, make_small_bundle, repository, make_client, tmp_path):
    """Who has seen the newer state does not go back to the older one, even though that was signed."""
    publish(make_small_bundle(b"first"))
    shutil.copytree(repository, tmp_path / "older")
    publish(make_small_bundle(b"second"), "1.1.0")
    client = make_client()
    client.refresh()
    shutil.copy(tmp_path / "older" / "metadata" / "timestamp.json", repository / "metadata" / "timestamp.json")
    with pytest.raises(TrustError, match="rollback"):
        client.refresh()


def test_a_rollback_is_found_after_a_restart(publish, make_small_bundle, repository, make_client, tmp_path):
    """What was seen is remembered on disk, and outlives the links that a power cut may take."""
    publish(make_small_bundle(b"first"))
    shutil.copytree(repository, tmp_path / "older")
    publish(make_small_bundle(b"second"), "1.1.0")
    make_client().refresh()
    (tmp_path / "trust" / "root.json").unlink()
    with pytest.raises(TrustError, match="rollback"):
        make_client(tmp_path / "older").refresh()


def test_a_mixture_is_found(publish, make_small_bundle, repository, make_client):
    """Targets metadata of one state do not pass with the snapshot of another, though both were signed."""
    publish(make_small_bundle(b"first"))
    publish(make_small_bundle(b"second"), "1.1.0")
    metadata = repository / "metadata"
    shutil.copy(metadata / "2.targets.json", metadata / "1.targets.json")
    shutil.copy(metadata / "1.snapshot.json", metadata / "2.snapshot.json")
    with pytest.raises(TrustError, match="signed for"):
        make_client().refresh()


@pytest.mark.parametrize(("days", "role"), [(31, "timestamp"), (400, "root")])
def test_expired_metadata_is_refused(publish, small_bundle, make_client, now, days, role):
    """A state that nobody renewed is refused: the message says which role expired, since when, and what renews it."""
    publish(small_bundle, at=now - timedelta(days=days))
    since = now - timedelta(days=days) + timedelta(days={"timestamp": 30, "root": 365}[role])
    with pytest.raises(TrustError, match=rf"{role} metadata expired on {since:%Y-%m-%d %H:%M} UTC.*edgekit release refresh"):
        make_client().refresh()


def test_expired_targets_are_refused(publish, small_bundle, make_client, repository, keys, now):
    """Fresh online signatures do not prolong what the offline keys said."""
    publish(small_bundle, at=now - timedelta(days=400))
    (keys / "targets.pem").rename(keys / "away.pem")
    refresh_repository(repository, keys, now)
    with pytest.raises(TrustError, match="targets metadata expired on"):
        make_client().refresh()


def test_endless_metadata_is_cut_off(publish, small_bundle, make_client, serve):
    """A server that sends timestamp metadata without end is left."""
    publish(small_bundle)

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404 if "root" in self.path else 200)
            self.end_headers()
            while "root" not in self.path:
                self.wfile.write(b" " * 65536)

        def log_message(self, format, *args):
            pass

    with pytest.raises(TrustError, match="more than"):
        make_client(serve(Endless)).refresh()


@pytest.mark.parametrize(("change", "error"), [(lambda data: data * 3, TrustError), (lambda data: data[:-1], DigestMismatch)])
def test_a_blob_of_another_length_is_refused(attacked, small_bundle, change, error):
    """A blob that is longer or shorter than the manifest says is refused."""
    name = small_bundle.manifest.golden.digest.removeprefix("sha256:")

    def resize(repository):
        blob = repository / "blobs" / "sha256" / name
        blob.write_bytes(change(blob.read_bytes()))

    attacked(resize, error, name)


def test_a_link_out_of_the_repository_is_not_followed(attacked, small_bundle, tmp_path):
    """A blob that is a link to another place of this machine is refused."""

    def link(repository):
        blob = repository / "blobs" / "sha256" / small_bundle.manifest.golden.digest.removeprefix("sha256:")
        shutil.move(blob, tmp_path / "outside")
        blob.symlink_to(tmp_path / "outside")

    attacked(link, TrustError, "leads out")


@pytest.fixture
def sign_manifest(publish, small_bundle, repository, keys, now):
    """Signs any bytes as a manifest, as a publisher with the keys but with another program could."""
    publish(small_bundle)
    publisher = Publisher(repository, keys)

    def sign(name, version, data):
        release = Release(name=name, version=version, digest=digest_bytes(data), length=len(data))
        place = repository / "targets" / name / version / f"{release.digest.removeprefix('sha256:')}.manifest.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        state = publisher.open_state(now)
        targets = add_release(state.targets, release, now)
        publisher.sign_online(publisher.sign_targets(state, targets), targets, now)

    return sign


def test_a_signed_path_cannot_climb(small_bundle, sign_manifest, make_client, tmp_path):
    """Even a signed manifest cannot name a file outside the bundle."""
    data = (small_bundle.root / "manifest.json").read_bytes().replace(b'"golden.npz"', b'"../golden.npz"')
    sign_manifest("digits", "1.1.0", data)
    with pytest.raises(InputError, match=r"golden\.path"):
        make_client().fetch_release(parse_reference("digits@1.1.0"), tmp_path / "deep" / "fetched", choose_all)
    assert files(tmp_path / "deep").keys() == {"fetched/manifest.json"}


def test_another_models_manifest_does_not_pass(small_bundle, sign_manifest, make_client, tmp_path):
    """A manifest that is signed under the name of another model is refused."""
    sign_manifest("letters", "1.0.0", (small_bundle.root / "manifest.json").read_bytes())
    with pytest.raises(TrustError, match="digits"):
        make_client().fetch_release(parse_reference("letters@1.0.0"), tmp_path / "fetched", choose_all)


def test_another_releases_manifest_does_not_pass(publish, make_small_bundle, repository, make_client, tmp_path):
    """The manifest of one release in the place of another's is refused."""
    first, second = make_small_bundle(b"first"), make_small_bundle(b"second")
    publish(first)
    publish(second, "1.1.0")
    (place,) = repository.glob("targets/digits/1.0.0/*.json")
    place.write_bytes((second.root / "manifest.json").read_bytes())
    with pytest.raises(TrustError, match="signed for"):
        make_client().fetch_release(DIGITS, tmp_path / "fetched", choose_all)
