"""What people and programs read: JSON and tables on stdout, progress and remarks on stderr.

rich is imported when a table or a terminal needs it, so that commands which print neither start fast.
"""

import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

#: What is shown for a figure that could not be taken.
UNKNOWN = "unknown"


def print_json(value: Any) -> None:
    """Write *value*, a record or anything that JSON can express, to stdout as indented JSON."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Write a table to stdout, its numbers to the right. Cells are plain text: nothing in them is taken as markup.

    Where stdout is no terminal, lines are as long as they must be, so that a program may cut them.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    body = [list(row) for row in rows]
    table = Table(title=Text(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = all(_is_figure(row[index]) for row in body)
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in body:
        table.add_row(*map(Text, row))
    click.echo(_render(table))


def _render(table: Any) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=None if sys.stdout.isatty() else 10_000)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().rstrip().splitlines())


def _is_figure(cell: str) -> bool:
    return cell in (UNKNOWN, "", "-") or cell.lstrip("+-±≥≤")[:1].isdigit()


def say(text: str) -> None:
    """Write one line to stderr."""
    click.echo(text, err=True)


@contextmanager
def progress(total: int, description: str) -> Iterator[Callable[[str], None]]:
    """Show on stderr how far a work of *total* steps has come; the block calls what it is given after each step.

    A terminal gets a bar that vanishes at the end; anything else gets one plain line for each step.
    """
    if sys.stderr.isatty():
        with _bar(total, description) as advance:
            yield advance
    else:
        yield _count(total, description)


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """Show on stderr what is being done; the block calls what it is given with each new activity.

    A terminal gets a spinner that vanishes at the end; anything else gets a line for each activity.
    """
    if not sys.stderr.isatty():
        yield say
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status("") as spinner:
        yield lambda activity: spinner.update(Text(activity))


@contextmanager
def _bar(total: int, description: str) -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(description), total=total)
        yield lambda step: bar.update(task, advance=1, description=escape(f"{description}: {step}"))


def _count(total: int, description: str) -> Callable[[str], None]:
    started = time.monotonic()
    done = 0

    def advance(step: str) -> None:
        nonlocal done
        done += 1
        say(f"{description} {done}/{total}, {time.monotonic() - started:.0f} s: {step}")

    return advance


def format_bytes(count: int | None) -> str:
    """A size for people: binary units, three figures; "unknown" for None."""
    if count is None:
        return UNKNOWN
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 999.5:
            break
        size, unit = size / 1024, larger
    return f"{count} B" if unit == "B" else f"{_round(size)} {unit}"


def format_ms(milliseconds: float | None) -> str:
    """A duration for people, in µs, ms or s, three figures; "unknown" for None."""
    if milliseconds is None:
        return UNKNOWN
    if milliseconds < 0.9995:
        return f"{_round(milliseconds * 1000)} µs"
    if milliseconds < 999.5:
        return f"{_round(milliseconds)} ms"
    return f"{_round(milliseconds / 1000)} s"


def format_number(value: float | None, digits: int = 3) -> str:
    """A figure with *digits* significant digits; "unknown" for None."""
    return UNKNOWN if value is None else f"{value:.{digits}g}"


def format_share(value: float | None) -> str:
    """A share between zero and one as per cent; "unknown" for None."""
    return UNKNOWN if value is None else f"{value:.1%}"


def format_ratio(value: float | None) -> str:
    """How many times as much; "unknown" for None."""
    return UNKNOWN if value is None else f"{_round(value)}x"


def _round(value: float) -> str:
    """*value* with three figures and no exponent."""
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
