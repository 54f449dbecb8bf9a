"""edgekit makes a trained model cheap enough to run where it is needed, puts it there safely, and proves that it stays good."""

from typing import TYPE_CHECKING

from edgekit.privacy import silence_telemetry

if TYPE_CHECKING:
    from edgekit.fleet.client import FleetClient as FleetClient
    from edgekit.loading import load as load

__all__ = ["FleetClient", "load"]

# Here, since every module of edgekit is loaded after this one, and every library that would send is loaded after those.
silence_telemetry()


def __getattr__(name: str) -> object:
    """What edgekit offers by its own name, imported when it is asked for (PEP 562): every command imports this module."""
    if name == "FleetClient":
        from edgekit.fleet.client import FleetClient

        return FleetClient
    if name == "load":
        from edgekit.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
