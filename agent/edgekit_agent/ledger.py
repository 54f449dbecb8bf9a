"""What the updater must know again after a power cut: each change is on the disk before it is acted on.

``desired.json`` is the newest signed message as it was received, ``counter`` the highest that was ever accepted,
``director.json`` the keys by which it was believed, and ``models/<name>/deployment.json`` how far each model has come.
``running`` is there while the agent runs, and afterwards where nobody had asked it to end.
"""

import logging
from pathlib import Path

from securesystemslib.signer import Key

from edgekit.deployment import Deployment
from edgekit.errors import DeviceError, EdgekitError, InputError
from edgekit.files import naming_disk_errors, write_file
from edgekit.releases.director_keys import decode_keys, encode_keys

log = logging.getLogger(__name__)

#: Another one after each boot (random(4)).
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Ledger:
    """The updater's files in the state directory *root*. What is damaged there is logged, and counts as never written."""

    def __init__(self, root: Path) -> None:
        self._models = root / "models"
        self._message = root / "desired.json"
        self._counter = root / "counter"
        self._keys = root / "director.json"
        self._running = root / "running"

    def read_message(self) -> bytes | None:
        """The newest message that was accepted."""
        return _read(self._message)

    def read_counter(self) -> int:
        """The highest counter that was ever accepted; 0 before the first."""
        data = _read(self._counter) or b"0"
        try:
            return int(data)
        except ValueError as error:
            log.warning("%s is damaged: %s", self._counter, error)
            return 0

    def write_message(self, message: bytes, counter: int) -> None:
        """Keep *message*, whose counter is *counter*. The counter comes first, so that no older message is ever taken after a crash."""
        write_file(self._counter, str(counter).encode())
        write_file(self._message, message)

    def read_keys(self) -> list[Key]:
        """The director's keys as they were last learned; none where they never were."""
        data = _read(self._keys)
        try:
            return decode_keys(data, str(self._keys)) if data else []
        except EdgekitError as error:
            log.warning("%s", error)
            return []

    def write_keys(self, keys: list[Key]) -> None:
        """Keep the director's keys."""
        write_file(self._keys, encode_keys(keys))

    def list_deployments(self) -> list[Deployment]:
        """The newest deployment of each model, by the model's name."""
        found = [self._read_deployment(path) for path in sorted(self._models.glob("*/deployment.json"))]
        return [deployment for deployment in found if deployment is not None]

    def write_deployment(self, deployment: Deployment) -> None:
        """Keep *deployment* as its model's newest."""
        write_file(self._models / deployment.model / "deployment.json", deployment.encode())

    def begin_run(self) -> bool:
        """Note that the agent runs; whether it had ended before without being asked to, the machine going on.

        After a power cut nobody can say what the agent would have done, so that is held against no release.
        """
        boot = _read(_BOOT_ID) or b""
        has_crashed = _read(self._running) == boot
        write_file(self._running, boot)
        return has_crashed

    def end_run(self) -> None:
        """Note that the agent was asked to end."""
        with naming_disk_errors(self._running):
            self._running.unlink(missing_ok=True)

    def _read_deployment(self, path: Path) -> Deployment | None:
        try:
            return Deployment.decode(_read(path) or b"", str(path))
        except InputError as error:
            log.warning("%s", error)
            return None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeviceError(path, f"it cannot be read: {error.strerror}", "Check who may read the state directory.") from error
