"""What this machine has for each format, and what mends what it lacks."""

import platform
import shutil
from importlib.metadata import version
from pathlib import Path

from edgekit.conversion import TargetConverter
from edgekit.environments import Environment, find_environments, find_obstacle, find_place
from edgekit.errors import DeviceError
from edgekit.hardware import describe_hardware
from edgekit.plugins import RUNTIMES, TARGETS, find_plugins, load_plugin
from edgekit.records import Length, Record
from edgekit.runtimes.base import Runtime
from edgekit.runtimes.registry import EXTRAS
from edgekit.targets import Hardware, find_target

#: Less free room than this is told, since an environment and a build of a middling model need about as much.
MIN_FREE_BYTES = 2 << 30


class Problem(Record, frozen=True, kw_only=True):
    """Something that is missing here, and what to do about it."""

    subject: str
    text: str


class FormatState(Record, frozen=True, kw_only=True):
    """What can be done here with one format: the runtimes that run it, and the precisions that it can be made in."""

    format: str
    runtimes: dict[str, str]
    precisions: tuple[str, ...]


class TargetState(Record, frozen=True, kw_only=True):
    """What can be made here by one target converter: its format, and the precisions; none where something is missing."""

    name: str
    format: str
    precisions: tuple[str, ...]


class EnvironmentState(Record, frozen=True, kw_only=True):
    """A managed environment: whether it is here, where it is or will be, and what it takes on disk, in MB."""

    name: str
    path: str
    is_ready: bool
    size_mb: int


class Diagnosis(Record, frozen=True, kw_only=True):
    """The state of this machine. *free_bytes* is the room where environments are kept."""

    edgekit: str
    python: str
    target: str
    hardware: Hardware
    free_bytes: Length
    formats: tuple[FormatState, ...]
    targets: tuple[TargetState, ...]
    environments: tuple[EnvironmentState, ...]
    problems: tuple[Problem, ...]

    @property
    def runnable(self) -> tuple[str, ...]:
        """The formats that have a runtime here."""
        return tuple(state.format for state in self.formats if state.runtimes)


def diagnose() -> Diagnosis:
    """Look at this machine. Nothing is changed, and nothing is fetched."""
    runtimes: list[Runtime] = [load_plugin(RUNTIMES, name)() for name in find_plugins(RUNTIMES)]
    converters, broken = _load_converters()
    obstacles = {name: obstacle for name, converter in converters.items() if (obstacle := converter.find_obstacle())}
    names = sorted({*(one.format for one in converters.values()), *(each for runtime in runtimes for each in runtime.formats)})
    formats = [_describe_format(name, runtimes, None if name in obstacles else converters.get(name)) for name in names]
    environments = find_environments()
    hardware = describe_hardware()
    free = shutil.disk_usage(_existing(find_place())).free
    return Diagnosis(
        edgekit=version("edgekit"),
        python=platform.python_version(),
        target=find_target(hardware),
        hardware=hardware,
        free_bytes=free,
        formats=tuple(formats),
        targets=tuple(_describe_target(name, converter, is_ready=name not in obstacles) for name, converter in converters.items()),
        environments=tuple(map(_describe_environment, environments.values())),
        problems=(*_find_missing_runtimes(formats), *broken, *_tell_obstacles(obstacles), *_find_unmade(environments), *_check_room(free)),
    )


def _load_converters() -> tuple[dict[str, TargetConverter], list[Problem]]:
    """Every target that can be imported, by name, and a problem for each that cannot."""
    converters: dict[str, TargetConverter] = {}
    problems = []
    for name in find_plugins(TARGETS):
        try:
            converters[name] = load_plugin(TARGETS, name)()
        except DeviceError as error:
            problems.append(Problem(subject=f"making {name}", text=f"{error.problem}. {error.remedy}"))
    return converters, problems


def _describe_format(name: str, runtimes: list[Runtime], converter: TargetConverter | None) -> FormatState:
    installed = {runtime.name: found for runtime in runtimes if name in runtime.formats and (found := runtime.find_version())}
    return FormatState(format=name, runtimes=installed, precisions=() if converter is None else tuple(converter.precisions))


def _describe_target(name: str, converter: TargetConverter, *, is_ready: bool) -> TargetState:
    return TargetState(name=name, format=converter.format, precisions=tuple(converter.precisions) if is_ready else ())


def _describe_environment(environment: Environment) -> EnvironmentState:
    return EnvironmentState(name=environment.name, path=str(environment.path), is_ready=environment.is_ready, size_mb=environment.size_mb)


def _find_missing_runtimes(formats: list[FormatState]) -> list[Problem]:
    return [
        Problem(
            subject=f"running {state.format}",
            text=f"no runtime is installed. Install one: pip install 'edgekit[{EXTRAS.get(state.format, state.format)}]'.",
        )
        for state in formats
        if not state.runtimes
    ]


def _tell_obstacles(obstacles: dict[str, str]) -> list[Problem]:
    return [Problem(subject=f"making {name}", text=obstacle) for name, obstacle in obstacles.items()]


def _find_unmade(environments: dict[str, Environment]) -> list[Problem]:
    """A problem for each environment that is not here: why it cannot be made, or the command that makes it."""
    problems = []
    for environment in environments.values():
        obstacle = find_obstacle(environment)
        if not environment.is_ready:
            remedy = f"It is not made yet; the first use makes it (about {environment.size_mb} MB), or now: edgekit doctor --fix."
            problems.append(Problem(subject=f"environment {environment.name}", text=obstacle or remedy))
    return problems


def _check_room(free: int) -> list[Problem]:
    if free >= MIN_FREE_BYTES:
        return []
    text = f"only {free >> 20} MiB are free in {find_place()}. Free some room, or choose another place with EDGEKIT_ENVIRONMENTS."
    return [Problem(subject="disk", text=text)]


def _existing(path: Path) -> Path:
    """*path*, or the nearest directory above it that exists."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())
