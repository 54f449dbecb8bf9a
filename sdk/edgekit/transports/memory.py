"""A broker in memory, which can be told to be away."""

from collections.abc import Callable

from edgekit.errors import TransferError

Receiver = Callable[[str, bytes], None]


class MemoryPublisher:
    """Gives each message to *receivers* at once, in their order; while *is_away*, nothing can be handed over."""

    def __init__(self, *receivers: Receiver) -> None:
        self.receivers = list(receivers)
        self.is_away = False

    async def publish(self, topic: str, message: bytes) -> None:
        """As the port says."""
        if self.is_away:
            raise TransferError("broker", "it is away", "It is tried again.")
        for receive in self.receivers:
            receive(topic, message)
