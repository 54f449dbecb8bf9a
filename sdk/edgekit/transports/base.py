"""The port through which the server speaks to devices."""

from typing import Protocol


class Publisher(Protocol):
    """Hands messages to a broker, at least once (QoS 1).

    That a message was handed over says nothing about whether it arrives: whoever sends asks the device, and repeats.
    """

    async def publish(self, topic: str, message: bytes) -> None:
        """Hand *message* to the broker; TransferError where it cannot be reached just now."""
