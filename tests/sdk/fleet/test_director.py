"""The key that signs what devices should have."""

from pathlib import Path

import pytest

from edgekit.desired import DesiredState, sign_desired, verify_desired
from edgekit.errors import InputError
from edgekit.fleet.director import DIRECTOR, load_director, new_director


def test_what_the_director_signs_is_verified_with_its_public_key(tmp_path: Path) -> None:
    """The key that is read back signs as the one that was made, and nobody else may read its file."""
    made = new_director(tmp_path)
    desired = DesiredState(device="roof-1", counter=1, issued_ms=0, expires_ms=1)
    assert verify_desired(sign_desired(desired, load_director(tmp_path)), [made.public_key], "roof-1", 0, 1) == desired
    assert (tmp_path / DIRECTOR).stat().st_mode & 0o777 == 0o600


def test_a_director_is_never_overwritten(tmp_path: Path) -> None:
    """To make a second one in the same place is refused, and the first one stays."""
    made = new_director(tmp_path)
    with pytest.raises(InputError, match="never overwritten"):
        new_director(tmp_path)
    assert load_director(tmp_path).public_key == made.public_key


@pytest.mark.parametrize("data", [None, b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_missing_or_damaged_key_names_its_file(tmp_path: Path, data: bytes | None) -> None:
    """Without a key, or with bytes that are none, the error says which file it is about."""
    if data is not None:
        (tmp_path / DIRECTOR).write_bytes(data)
    with pytest.raises(InputError, match=DIRECTOR):
        load_director(tmp_path)
