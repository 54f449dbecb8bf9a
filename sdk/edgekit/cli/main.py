"""The root of the command line: finds the commands, and turns what went wrong into one paragraph and an exit code.

Everything here stands between the user and ``--help``, so nothing but click and the ground is imported at the top.
"""

import errno
import os
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NoReturn

import click

from edgekit.errors import (
    ConversionError,
    DeviceError,
    EdgekitError,
    GateRefused,
    InputError,
    TransferError,
    TrustError,
    WireError,
)
from edgekit.plugins import COMMANDS, find_plugins, load_plugin

OUR_FAULT = 1
WRONG_USE = 2
#: What a shell reports of a program that the signals SIGINT, SIGPIPE and SIGTERM ended: 128 + 2, 13 and 15.
INTERRUPTED = 130
PIPE_CLOSED = 141
TERMINATED = 143
#: Set to 1, it shows the traceback of whatever ends the program.
TRACEBACK = "EDGEKIT_TRACEBACK"

# fmt: off
EXIT_CODES: tuple[tuple[type[EdgekitError], int], ...] = (
    (WireError,       1),
    (InputError,      2),
    (ConversionError, 2),
    (DeviceError,     2),
    (GateRefused,     3),
    (TrustError,      4),
    (TransferError,   5),
)
# fmt: on

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)


class _Terminated(KeyboardInterrupt):
    """SIGTERM came: what is under way is left as if the user had interrupted it, so that nothing half-made stays."""


class PluginGroup(click.Group):
    """A group whose commands are entry points, imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, sorted."""
        return sorted({*super().list_commands(ctx), *find_plugins(COMMANDS)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called *cmd_name*; None where there is none, DeviceError where it cannot be imported."""
        command = super().get_command(ctx, cmd_name)
        if command is None and cmd_name in find_plugins(COMMANDS):
            command = load_plugin(COMMANDS, cmd_name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, and an unknown name is answered with the nearest known one."""
        name = args[0]
        if not name.startswith("-") and name not in self.list_commands(ctx):
            from difflib import get_close_matches  # only for those who mistype

            nearest = get_close_matches(name, self.list_commands(ctx), n=1)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in ``--help``: no command is imported for it, so that it stays fast whatever they need."""
        plugins = find_plugins(COMMANDS)
        with formatter.section("Commands"):
            formatter.write_dl([(name, read_summary(plugins[name].partition(":")[0])) for name in self.list_commands(ctx)])


def read_summary(module: str) -> str:
    """What the first line of *module*'s docstring says of its command, which stands there as "``edgekit name``: what it does."."""
    try:
        spec = find_spec(module)
    except ImportError:
        spec = None
    if spec is None or spec.origin is None:
        return "(not installed here)"
    with open(spec.origin, encoding="utf-8") as file:
        line = file.readline().strip().strip('"')
    summary = line.partition("``: ")[2] or line
    return summary[:1].upper() + summary[1:]


@click.group(cls=PluginGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="edgekit", message="%(prog)s %(version)s")
def edgekit() -> None:
    """Makes a trained model cheap enough to run where it is needed, puts it there safely, and proves that it stays good."""


def main() -> NoReturn:
    """The program ``edgekit``."""
    run_command(edgekit, program="edgekit")


def run_command(command: click.Command, argv: Sequence[str] | None = None, program: str | None = None) -> NoReturn:
    """Run *command* with the arguments *argv* (those of the process by default) and exit.

    *program* is the name that usage lines show. A refusal is one paragraph on stderr; EXIT_CODES says which class
    becomes which code. Nothing shows a traceback unless the environment has EDGEKIT_TRACEBACK=1.
    """
    name = program or os.path.basename(sys.argv[0])  # noqa: PTH119 - pathlib costs --help 6 ms
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        code = _run(command, list(sys.argv[1:] if argv is None else argv), name)
    finally:
        signal.signal(signal.SIGTERM, before)
    _settle(sys.stdout)
    _settle(sys.stderr)
    sys.exit(code)


def _terminate(_number: int, _frame: object) -> NoReturn:
    raise _Terminated


def _run(command: click.Command, argv: list[str], program: str) -> int:
    try:
        code = _invoke(command, argv, program)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever happened, this is where it is told
        if os.environ.get(TRACEBACK) == "1":
            sys.excepthook(type(error), error, error.__traceback__)
        return _report(error)
    return code


def _invoke(command: click.Command, argv: list[str], program: str) -> int:
    complete_var = f"_{program.replace('-', '_').replace('.', '_')}_COMPLETE".upper()
    if instruction := os.environ.get(complete_var):
        from click.shell_completion import shell_complete

        return shell_complete(command, {}, program, complete_var, instruction)
    with command.make_context(program, argv) as context:
        command.invoke(context)
    return 0


def _report(error: BaseException) -> int:
    """Say on stderr what happened, and give the exit code for it."""
    if isinstance(error, BrokenPipeError):
        return PIPE_CLOSED  # the reader has gone, so nobody wants to hear of it
    if isinstance(error, KeyboardInterrupt | click.Abort | EOFError):
        _say("interrupted")
        return TERMINATED if isinstance(error, _Terminated) else INTERRUPTED
    if isinstance(error, click.ClickException):
        _report_usage(error)
        return WRONG_USE
    if isinstance(error, EdgekitError):
        _say(f"error: {error}")
        return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), OUR_FAULT)
    if isinstance(error, OSError) and error.errno in _FULL + _REFUSED:
        _say(f"error: {_explain_disk(error)}")
        return WRONG_USE
    _say(
        f"error: this is a fault of edgekit and not of yours: {type(error).__name__}: {error}. "
        f"Run the same command with {TRACEBACK}=1 set to see where it happened."
    )
    return OUR_FAULT


def _report_usage(error: click.ClickException) -> None:
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # its message is the whole help
    elif context is None:
        _say(f"error: {message}")
    else:
        end = "" if message.endswith((".", "?", ")")) else "."
        _say(f"error: {message}{end} Try '{context.command_path} --help'.")


def _explain_disk(error: OSError) -> str:
    place = error.filename or "output"
    if error.errno in _FULL:
        return f"{place}: the disk is full. Free some room and run the same command again."
    return f"{place}: {error.strerror}. Choose a place that this user may use."


def _say(text: str) -> None:
    """Write *text* to stderr as one paragraph. Control characters, which a hostile file may bring, are not passed on."""
    paragraph = " ".join(text.split())
    click.echo("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in paragraph), err=True)


def _settle(stream: Any) -> None:
    """Flush *stream*; where nobody takes what is left, drop it, or the interpreter would complain at its end."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
