"""What a build tries: each format and precision that the request allows, and why others are left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgekit.build_request import BuildRequest
from edgekit.conversion import SourceModel, TargetConverter
from edgekit.plugins import TARGETS, find_plugins, load_plugin
from edgekit.precisions import PRECISIONS, Precision, order_precisions
from edgekit.target_profiles import find_profile

#: The target that makes ONNX for TensorRT: no CPU is served well by it.
NVIDIA = "nvidia"
_FLOAT = "Give the float model that it was made from."


@dataclass(frozen=True)
class Attempt:
    """One variant that is thought of: the target's name among the plug-ins, its converter, and a precision's name."""

    target: str
    converter: TargetConverter
    precision: str

    @property
    def id(self) -> str:
        """The id that the variant will have."""
        return f"{self.target}-{self.precision}"

    def is_of(self, name: str) -> bool:
        """Whether *name* is its target's or its precision's."""
        return name in (self.target, self.precision)


class Attempts:
    """The variants that a build of *model* thinks of, and which of them can be tried here as *request* has it."""

    def __init__(self, request: BuildRequest, model: SourceModel) -> None:
        self._request = request
        self._model = model
        self._profile = None if request.target is None else find_profile(request.target)

    def load_converters(self) -> dict[str, TargetConverter]:
        """The target converters to be tried: those asked for, else those that pay on the device, else all for any CPU.

        What is made for one kind of accelerator is made where it was asked for, or its devices were.
        """
        return {name: load_plugin(TARGETS, name)() for name in self._request.formats or self._list_paying()}

    def _list_paying(self) -> tuple[str, ...]:
        profile = self._profile
        known = tuple(find_plugins(TARGETS))
        return tuple(name for name in known if name in profile.precisions) if profile else tuple(name for name in known if name != NVIDIA)

    def list_all(self, name: str, converter: TargetConverter) -> Iterator[tuple[Attempt, str | None]]:
        """Each variant that the target *name* is thought of for, with the reason why it cannot be tried; None where it can."""
        obstacle = converter.find_obstacle()
        for precision in self._list_precisions(name, converter):
            yield Attempt(name, converter, precision.name), obstacle or self._find_reason(name, converter, precision)

    def _list_precisions(self, target: str, converter: TargetConverter) -> tuple[Precision, ...]:
        model, profile = self._model, self._profile
        if self._request.precisions:
            return order_precisions(self._request.precisions)
        if model.precision != "fp32":
            return order_precisions(self._find_kept(converter))
        worth = model.suggested or converter.suggest_precisions(model)
        return order_precisions(choose_paying(profile.precisions.get(target, worth), worth) if profile else worth)

    def _find_reason(self, target: str, converter: TargetConverter, precision: Precision) -> str | None:
        model = self._model
        if precision.name not in converter.precisions:
            return (
                converter.refusals.get(precision.name) or f"{converter.format} is made in {', '.join(converter.precisions)}, not in {precision.name}."
            )
        if model.precision != "fp32":
            return self._find_reason_to_leave(target, converter, precision)
        if precision.needs_calibration and self._request.calibration is None:
            return "static int8 needs representative inputs. Give --calibration FILE.npz."
        return None

    def _find_reason_to_leave(self, target: str, converter: TargetConverter, precision: Precision) -> str | None:
        """Why a source that came in other numbers than fp32 is not kept in *precision*; floats are right on every class of devices."""
        model, profile = self._model, self._profile
        kept = self._find_kept(converter)
        if precision.name not in kept:
            came = next(iter(kept), model.precision)
            return f"the source model came in {came} and is kept as it is: converting its numbers again would only lose accuracy. {_FLOAT}"
        if self._request.precisions or profile is None or precision.scheme is None:
            return None
        paying = profile.precisions.get(target, (precision.name,))
        if precision.name in paying:
            return None
        return f"{profile.name} takes {target} in {', '.join(paying)}, and the source model came in {precision.name}. {_FLOAT}"

    def _find_kept(self, converter: TargetConverter) -> list[str]:
        """The one precision of *converter* that keeps a source in the numbers that it came in; none where it has none."""
        model = self._model
        same = [name for name in (*model.suggested, *converter.precisions) if PRECISIONS[name].number == model.precision]
        return [name for name in same if name in converter.precisions][:1]


def choose_paying(paying: Sequence[str], worth: Sequence[str]) -> Sequence[str]:
    """Those of *paying*, which a target gains by, that suit the model too.

    How a model's activations get their integers depends on what kind of model it is, and *worth* says that. Where
    nothing is left the target decides: what takes one precision alone must have it.
    """
    integers = [name for name in paying if PRECISIONS[name].scheme is not None and name in worth]
    floats = [name for name in paying if PRECISIONS[name].scheme is None]
    return [*integers, *floats] or paying
