"""The director's public keys, signed into a repository and read back by devices."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.ngclient import Updater

from edgekit.bundles import VerifiedBundle
from edgekit.errors import InputError, TrustError
from edgekit.releases.client import ReleaseClient
from edgekit.releases.director_keys import decode_keys, encode_keys
from edgekit.releases.layout import DIRECTOR_KEYS
from edgekit.releases.publishing import Publication, publish_director


@pytest.fixture
def director() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


@pytest.fixture
def appoint(repository: Path, keys: Path, now: datetime, director: CryptoSigner) -> Callable[..., object]:
    """Names the director, or another signer, in the repository."""
    return lambda signer=director, **options: publish_director([signer.public_key], repository, keys, now, **options)


def test_keys_survive_their_encoding(director: CryptoSigner) -> None:
    """What was encoded is decoded to equal keys, whatever their order was."""
    others = [CryptoSigner.generate_ed25519().public_key for _ in range(3)]
    assert encode_keys(others) == encode_keys(others[::-1])
    assert sorted(key.keyid for key in decode_keys(encode_keys(others), "keys")) == sorted(key.keyid for key in others)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"keys":{}}', b'{"keys":{"a":{}}}', b'{"keys":{"a":{"keytype":7}}}', b"\xff"])
def test_what_holds_no_key_is_refused(data: bytes) -> None:
    """Signed bytes in which no key can be read are a matter of trust, and are never taken for an empty list."""
    with pytest.raises(TrustError):
        decode_keys(data, "keys")


def test_a_device_reads_the_director_that_was_named(
    appoint: Callable[..., object], director: CryptoSigner, make_client: Callable[..., ReleaseClient]
) -> None:
    """The keys come back through the pinned root, from a repository in which nothing else was ever published."""
    appoint()
    client = make_client()
    assert client.read_director_keys() == [director.public_key]
    assert client.list_releases() == ()


def test_a_director_stands_beside_releases(
    appoint: Callable[..., object],
    director: CryptoSigner,
    publish: Callable[..., Publication],
    small_bundle: VerifiedBundle,
    make_client: Callable[..., ReleaseClient],
) -> None:
    """Releases before and after it are listed as ever, and the director stays named."""
    publish(small_bundle)
    appoint()
    publish(small_bundle, "1.1.0")
    client = make_client()
    assert [release.version for release in client.list_releases()] == ["1.0.0", "1.1.0"]
    assert client.read_director_keys() == [director.public_key]


def test_a_repository_without_director_says_so(
    publish: Callable[..., Publication], small_bundle: VerifiedBundle, make_client: Callable[..., ReleaseClient]
) -> None:
    """Whoever asks for a director where none was named is told how one is."""
    publish(small_bundle)
    with pytest.raises(InputError, match=r"names no director.*edgekit fleet init"):
        make_client().read_director_keys()


def test_another_director_does_not_slip_in(appoint: Callable[..., object], director: CryptoSigner, make_client: Callable[..., ReleaseClient]) -> None:
    """A second director replaces the first only where that was asked for; the same one again changes nothing."""
    other = CryptoSigner.generate_ed25519()
    appoint()
    assert not appoint().is_new
    with pytest.raises(InputError, match="another director"):
        appoint(other)
    assert make_client().read_director_keys() == [director.public_key]
    assert appoint(other, replacing=True).is_new
    assert make_client().read_director_keys() == [other.public_key]


def test_changed_keys_are_refused(appoint: Callable[..., object], repository: Path, make_client: Callable[..., ReleaseClient]) -> None:
    """Whoever can write to the repository's disk, and cannot sign, names no director."""
    appoint()
    (path,) = (repository / "targets" / "director").iterdir()
    path.write_bytes(encode_keys([CryptoSigner.generate_ed25519().public_key]))
    with pytest.raises(TrustError):
        make_client().read_director_keys()


def test_python_tufs_own_client_reads_it(appoint: Callable[..., object], repository: Path, tmp_path: Path, serve: Callable[[Path], str]) -> None:
    """The target is where the TUF specification has it, so a client that is not ours finds it over HTTP."""
    appoint()
    base = serve(repository)
    root = (repository / "metadata" / "1.root.json").read_bytes()
    updater = Updater(str(tmp_path / "t"), f"{base}metadata/", str(tmp_path), f"{base}targets/", bootstrap=root)
    target = updater.get_targetinfo(DIRECTOR_KEYS)
    assert target is not None
    assert decode_keys(Path(updater.download_target(target)).read_bytes(), "keys")
