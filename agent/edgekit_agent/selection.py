"""Which variant of a bundle is the best on this device."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edgekit.errors import DeviceError
from edgekit.gate import choose_unmeasured
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
    from device to device, so without one the same rule decides as on the workstation (edgekit.gate.choose_unmeasured).
    What was made for an accelerator is left aside: no runtime here drives one.

    Raises:
        UnknownName: the manifest has no variant *wanted*.
        DeviceError: no variant, or not the wanted one, can be loaded here.
    """
    if wanted is not None:
        return _take_wanted(manifest, formats, wanted)
    runnable = [variant for variant in manifest.variants if find_obstacle(variant, formats) is None]
    if not runnable:
        raise _refuse(manifest.name, manifest.variants, formats)
    return _take_default(manifest, runnable, target) or _take_fastest(runnable, target) or _take_unmeasured(runnable, target)


def find_obstacle(variant: Variant, formats: Collection[str]) -> str | None:
    """Why *variant* cannot be served by runtimes that load *formats*; None where it can."""
    if variant.accelerator is not None:
        return f"{variant.id} is made for {variant.accelerator}, and no runtime here drives that"
    if variant.format not in formats:
        return f"{variant.id} is {variant.format}, and the runtimes here load {', '.join(sorted(formats)) or 'none'}"
    return None


def _take_wanted(manifest: Manifest, formats: Collection[str], wanted: str) -> Selection:
    variant = manifest.find_variant(wanted)
    if find_obstacle(variant, formats) is not None:
        raise _refuse(f"{manifest.name}, variant {wanted}", [variant], formats)
    return Selection(variant, "asked for by name")


def _take_default(manifest: Manifest, variants: Sequence[Variant], target: str) -> Selection | None:
    choice = manifest.defaults.get(target)
    for variant in variants:
        if choice is not None and choice.variant == variant.id:
            return Selection(variant, f"the default on {target}: {choice.reason}")
    return None


def _take_fastest(variants: Sequence[Variant], target: str) -> Selection | None:
    timed = [(measurement.latency_ms.p50, variant) for variant in variants if (measurement := variant.find_measurement(target))]
    if not timed:
        return None
    latency, variant = min(timed, key=lambda pair: pair[0])
    return Selection(variant, f"the fastest measured on {target} that has a runtime here, {format_ms(latency)}")


def _take_unmeasured(variants: Sequence[Variant], target: str) -> Selection:
    choice = choose_unmeasured(variants, target)
    assert choice is not None, "what can be served here is for no accelerator"
    variant = next(one for one in variants if one.id == choice.variant)
    return Selection(variant, f"unmeasured on {target}: {choice.reason} that has a runtime here")


def _refuse(subject: str, variants: Sequence[Variant], formats: Collection[str]) -> DeviceError:
    """The refusal when none of *variants* can be served: what would have to be installed, or made."""
    here = ", ".join(sorted(formats)) or "none"
    needed = sorted({variant.format for variant in variants if variant.accelerator is None})
    kinds = ", ".join(sorted({variant.accelerator for variant in variants if variant.accelerator is not None}))
    if not needed:
        problem = f"it is made for {kinds}, and no runtime here drives that: they load {here}"
        return DeviceError(subject, problem, "Make a variant for the CPU too: edgekit convert --to onnx,nvidia.")
    commands = " or ".join(f"pip install 'edgekit[{EXTRAS.get(one, one)}]'" for one in needed)
    return DeviceError(subject, f"it comes as {', '.join(needed)}, and the runtimes here load {here}", f"Install one: {commands}.")
