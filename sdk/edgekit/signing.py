"""The keys that sign releases: one for each TUF role, each in a file of its own.

The keys for root and targets say what is trusted and which releases exist; they stay offline, with a person. Those for
snapshot and timestamp only say what is newest; they may lie on a server that signs while nobody watches
(TUF specification, section 6.1, "Key management and migration").
"""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner, SSlibKey

from edgekit.errors import InputError, TrustError
from edgekit.files import naming_disk_errors, sync_directory, write_file
from edgekit.records import Record

OFFLINE = ("root", "targets")
ONLINE = ("snapshot", "timestamp")
ROLES = (*OFFLINE, *ONLINE)
#: The file with the public parts, and what makes a directory a directory of keys.
KEYS = "keys.json"
#: The environment's word for the directory of keys.
KEYS_VARIABLE = "EDGEKIT_KEYS"


class PublicKey(Record, frozen=True, kw_only=True):
    """The public part of one key. *public* is its 32 bytes in hexadecimal, *id* the name that TUF derives from it."""

    id: str
    keytype: str
    scheme: str
    public: str


class KeySet(Record, frozen=True, kw_only=True):
    """The public parts of a directory of keys, by role."""

    root: PublicKey
    targets: PublicKey
    snapshot: PublicKey
    timestamp: PublicKey

    def find_key(self, role: str) -> SSlibKey:
        """The key of *role* as TUF metadata lists it."""
        key: PublicKey = getattr(self, role)
        return SSlibKey(key.id, key.keytype, key.scheme, {"public": key.public})


def new_keys(directory: Path) -> KeySet:
    """Make four ed25519 keys in *directory*: ``<role>.pem`` (PKCS #8, mode 0600) and ``keys.json``, the public parts.

    Raises:
        InputError: there is something in *directory* already. Keys are never overwritten: whoever loses the root key
            can never again tell the devices whom to trust.
        DeviceError: it cannot be written.
    """
    _make_private_directory(directory)
    signers = {role: CryptoSigner.generate_ed25519() for role in ROLES}
    for role, signer in signers.items():
        write_file(_name_private(directory, role), signer.private_bytes, mode=0o600)
    keys = KeySet(**{role: _describe(signer.public_key) for role, signer in signers.items()})
    # Last, so that a directory of which the making broke off is never taken for a whole one.
    write_file(directory / KEYS, keys.encode(), mode=0o644)
    return keys


def read_keys(directory: Path) -> KeySet:
    """The public parts of the keys in *directory*; InputError where there are none."""
    path = directory / KEYS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            directory,
            f"there are no keys: {KEYS} cannot be read ({error.strerror})",
            "Make them with edgekit keys new, or name their directory with --keys.",
        ) from error
    return KeySet.decode(data, str(path))


def has_signer(directory: Path, role: str) -> bool:
    """Whether the private key for *role* is in *directory*."""
    return _name_private(directory, role).is_file()


def load_signer(directory: Path, role: str) -> CryptoSigner:
    """What signs for *role*.

    Raises:
        InputError: the private part is not in *directory*, or is not a key.
        TrustError: it is not the private part of the key that ``keys.json`` names.
    """
    public = read_keys(directory).find_key(role)
    path = _name_private(directory, role)
    try:
        private = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise InputError(
            path, f"the private key for {role} cannot be read: {error.strerror}", "Bring it to this machine, or sign where it is."
        ) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(path, f"it is not a private key in PEM without a password: {error}", "Restore it from your copy.") from error
    try:
        return CryptoSigner(private, public)
    except ValueError as error:
        raise TrustError(path, f"it does not belong to the key for {role} in {KEYS}: {error}", "Restore both from the same copy.") from error


def _name_private(directory: Path, role: str) -> Path:
    return directory / f"{role}.pem"


def _make_private_directory(directory: Path) -> None:
    with naming_disk_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise InputError(directory, "it is not empty, and keys are never overwritten", "Name a new directory, or use the keys that are there.")
        directory.chmod(0o700)
        sync_directory(directory.parent)


def _describe(key: SSlibKey) -> PublicKey:
    return PublicKey(id=key.keyid, keytype=key.keytype, scheme=key.scheme, public=key.keyval["public"])


def find_default_keys() -> Path:
    """Where keys are when nobody says otherwise: EDGEKIT_KEYS, else ``keys`` in the user's configuration."""
    if named := os.environ.get(KEYS_VARIABLE):
        return Path(named)
    from platformdirs import user_config_path

    return user_config_path("edgekit") / "keys"
