"""What the fleet wants of this device: believed only with its director's signature, and never older than what was believed before."""

import logging
from collections.abc import Callable

from securesystemslib.signer import Key

from edgekit.desired import DesiredModel, DesiredState, UnknownDirector, verify_desired
from edgekit.errors import TrustError, WireError
from edgekit_agent.clock import Clock
from edgekit_agent.ledger import Ledger

log = logging.getLogger(__name__)

#: Seconds between two requests for the director's keys, so that nobody can make this device ask without end.
KEYS_S = 5.0

#: Asks the release repository for the director's public keys.
FindKeys = Callable[[], list[Key]]


class Orders:
    """The newest desired state of *device*. One thread uses it."""

    def __init__(self, device: str, ledger: Ledger, find_keys: FindKeys, clock: Clock) -> None:
        self.newest: DesiredState | None = None
        self.counter = 0
        self._device = device
        self._ledger = ledger
        self._find_keys = find_keys
        self._clock = clock
        self._keys: list[Key] = []
        self._asked_s: float | None = None

    def recall(self) -> None:
        """Take up what was believed before the agent ended; what can no longer be verified is not, until it is sent again."""
        self._keys = self._ledger.read_keys()
        self.counter = self._ledger.read_counter()
        message = self._ledger.read_message()
        if message is None:
            return
        try:
            # It was in time when it came, and what it asks for holds until something newer does.
            self.newest = verify_desired(message, self._keys, self._device, 0, None)
        except (TrustError, WireError) as error:
            log.warning("what was desired before is forgotten: %s", error)

    def accept(self, message: bytes, *, may_ask: bool) -> DesiredState:
        """Believe *message*, and keep it. Its signer being unknown, the repository is asked for the director's keys if *may_ask*.

        Raises:
            WireError, TrustError: as verify_desired says; nothing was changed.
            UnknownDirector: by the keys known so far, nobody whom this device obeys has signed it.
            TransferError: the repository could not be asked.
            DeviceError: it cannot be written down.
        """
        desired = self._verify(message, may_ask=may_ask)
        if desired.counter != self.counter or self.newest is None:
            self._ledger.write_message(message, desired.counter)
        self.newest, self.counter = desired, desired.counter
        return desired

    def list_models(self) -> tuple[DesiredModel, ...]:
        """What is desired of each model; a model of which nothing is said stays as it is."""
        return self.newest.models if self.newest else ()

    def find_model(self, model: str) -> DesiredModel | None:
        """What is desired of *model*; None where nothing is said of it."""
        return self.newest.find_model(model) if self.newest else None

    def _verify(self, message: bytes, *, may_ask: bool) -> DesiredState:
        if not self._keys and may_ask:
            self._learn_keys()
        try:
            return self._verify_now(message)
        except UnknownDirector:
            if not may_ask or not self._learn_keys():
                raise
            return self._verify_now(message)

    def _verify_now(self, message: bytes) -> DesiredState:
        if not self._keys:
            raise UnknownDirector(LookupError("this device has not learned the director's keys yet"))
        return verify_desired(message, self._keys, self._device, self.counter, self._clock.read_ms())

    def _learn_keys(self) -> bool:
        """Ask for the director's keys, unless that was just done; whether they have changed."""
        now_s = self._clock.monotonic()
        if self._asked_s is not None and now_s - self._asked_s < KEYS_S:
            return False
        self._asked_s = now_s
        keys = self._find_keys()
        if _name_keys(keys) == _name_keys(self._keys):
            return False
        self._ledger.write_keys(keys)
        self._keys = keys
        return True


def _name_keys(keys: list[Key]) -> set[str]:
    return {key.keyid for key in keys}
