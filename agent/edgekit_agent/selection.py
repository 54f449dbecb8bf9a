"""Which variant of a bundle is the best on this device."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edgekit.errors import DeviceError
from edgekit.manifest import Manifest, Variant
from edgekit.quantities import format_ms
from edgekit.runtimes.registry import EXTRAS


@dataclass(frozen=True)
class Selection:
    """The chosen variant, and why it and no other."""

    variant: Variant
    reason: str


def choose_variant(manifest: Manifest, target: str, formats: Collection[str], wanted: str | None = None) -> Selection:
    """The variant for a device of *target* whose runtimes load *formats*; *wanted* is an id that overrules the choice.

    What was measured on this target decides. A measurement made elsewhere says little, since the best format differs
    from device to device, so without one the smallest int8 variant is taken: it costs the least to fetch and to hold.

    Raises:
        UnknownName: the manifest has no variant *wanted*.
        DeviceError: no variant, or not the wanted one, can be loaded here.
    """
    if wanted is not None:
        return _take_wanted(manifest, formats, wanted)
    runnable = [variant for variant in manifest.variants if variant.format in formats]
    if not runnable:
        raise _lacking_runtime(manifest.name, manifest.variants, formats)
    choice = manifest.defaults.get(target)
    for variant in runnable:
        if choice is not None and choice.variant == variant.id:
            return Selection(variant, f"the default on {target}: {choice.reason}")
    return _take_fastest(runnable, target) or _take_smallest(runnable, target)


def _take_wanted(manifest: Manifest, formats: Collection[str], wanted: str) -> Selection:
    variant = manifest.find_variant(wanted)
    if variant.format not in formats:
        raise _lacking_runtime(f"{manifest.name}, variant {wanted}", [variant], formats)
    return Selection(variant, "asked for by name")


def _take_fastest(variants: Sequence[Variant], target: str) -> Selection | None:
    timed = [(measurement.latency_ms.p50, variant) for variant in variants if (measurement := variant.find_measurement(target))]
    if not timed:
        return None
    latency, variant = min(timed, key=lambda pair: pair[0])
    return Selection(variant, f"the fastest measured on {target} that has a runtime here, {format_ms(latency)}")


def _take_smallest(variants: Sequence[Variant], target: str) -> Selection:
    reduced = [variant for variant in variants if variant.precision == "int8"]
    variant = min(reduced or variants, key=lambda one: one.size)
    among = "int8 variant" if reduced else "variant"
    return Selection(variant, f"unmeasured on {target}: the smallest {among} that has a runtime here")


def _lacking_runtime(subject: str, variants: Sequence[Variant], formats: Collection[str]) -> DeviceError:
    needed = sorted({variant.format for variant in variants})
    commands = " or ".join(f"pip install 'edgekit[{EXTRAS.get(one, one)}]'" for one in needed)
    here = ", ".join(sorted(formats)) or "none"
    return DeviceError(subject, f"it comes as {', '.join(needed)}, and the runtimes here load {here}", f"Install one: {commands}.")
