"""The director: the key that signs what each device should have.

Its public part is a TUF target of the release repository, so devices trust it as they trust releases, and it rotates by TUF.
The private part must lie on the server, which signs while nobody watches.
"""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from edgekit.errors import InputError
from edgekit.files import write_file

DIRECTOR = "director.pem"


def new_director(directory: Path) -> CryptoSigner:
    """Make an ed25519 key in *directory*: ``director.pem`` (PKCS #8, mode 0600).

    Raises:
        InputError: there is one already. It is never overwritten: devices that know it would obey nobody.
        DeviceError: it cannot be written.
    """
    path = directory / DIRECTOR
    if path.exists():
        raise InputError(path, "there is a director's key already, and it is never overwritten", "Use it, or name a new directory.")
    signer = CryptoSigner.generate_ed25519()
    write_file(path, signer.private_bytes, mode=0o600)
    return signer


def load_director(directory: Path) -> CryptoSigner:
    """What signs for the fleet in *directory*; InputError where there is no key, or it is none."""
    path = directory / DIRECTOR
    try:
        return CryptoSigner(load_pem_private_key(path.read_bytes(), None))
    except OSError as error:
        raise InputError(path, f"the director's key cannot be read: {error.strerror}", "Make the fleet with edgekit fleet init.") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(path, f"it is not a private key in PEM without a password: {error}", "Restore it from your copy.") from error
