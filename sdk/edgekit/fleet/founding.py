"""A fleet begins: its directory, its director, and its director's place in the release repository."""

from datetime import datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner

from edgekit.errors import InputError
from edgekit.files import naming_disk_errors
from edgekit.fleet.director import DIRECTOR, load_director, new_director
from edgekit.fleet.settings import FleetDirectory, FleetSettings, write_settings
from edgekit.releases.publishing import Appointment, publish_director


def found_fleet(directory: FleetDirectory, settings: FleetSettings, keys: Path, now: datetime, *, replacing: bool = False) -> Appointment:
    """Make a fleet in *directory*, and sign its director into the release repository of *settings* with *keys*.

    What broke off half-way is ended by the same call: ``fleet.toml`` is written last.

    Raises:
        InputError: there is a fleet already, keys are missing, or the repository names another director and not *replacing*.
        TrustError: the repository is damaged, or was made with other keys.
        DeviceError: *directory* or the repository cannot be written.
    """
    if directory.settings.exists():
        raise InputError(directory.root, "there is a fleet in it already", "Start it with edgekit fleet up, or name a new directory.")
    with naming_disk_errors(directory.root):
        directory.root.mkdir(parents=True, exist_ok=True)
        directory.root.chmod(0o700)
    director = _find_director(directory.root)
    appointment = publish_director([director.public_key], settings.find_repository(directory), keys, now, replacing=replacing)
    write_settings(directory, settings)
    return appointment


def _find_director(root: Path) -> CryptoSigner:
    return load_director(root) if (root / DIRECTOR).exists() else new_director(root)
