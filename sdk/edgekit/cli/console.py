"""What people and programs read: JSON and tables on stdout, progress and remarks on stderr.

rich is imported when a table or a terminal needs it, so that commands which print neither start fast.
"""

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from edgekit.quantities import NOT_MEASURED, UNKNOWN

#: Called with what is being done, how many steps are done, and how many there are.
Progress = Callable[[str, int, int], None]


def print_json(value: Any) -> None:
    """Write *value*, a record or anything that JSON can express, to stdout as indented JSON."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Write a table to stdout, its numbers to the right. Cells are plain text: nothing in them is taken as markup, or commands a terminal.

    Where stdout is no terminal, lines are as long as they must be, so that a program may cut them.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    body = [[make_plain(cell) for cell in row] for row in rows]
    table = Table(title=Text(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = all(_is_figure(row[index]) for row in body)
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in body:
        table.add_row(*map(Text, row))
    click.echo(f"{_render(table)}\n")


def _render(table: Any) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=None if sys.stdout.isatty() else 10_000)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).strip("\n")


def _is_figure(cell: str) -> bool:
    """Whether *cell* is a number with at most a unit behind it, or stands for one."""
    return cell in (UNKNOWN, NOT_MEASURED, "", "-") or (cell.lstrip("+±-\N{MINUS SIGN}")[:1].isdigit() and cell.count(" ") <= 1)


def say(text: str) -> None:
    """Write one line to stderr, as plain text."""
    click.echo(make_plain(text), err=True)


def make_plain(text: str) -> str:
    """*text* with a sign in place of each control and format character but line feeds: names of classes and files may come from anybody."""
    from unicodedata import category

    return "".join(letter if letter == "\n" or category(letter)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for letter in text)


@contextmanager
def progress() -> Iterator[Progress]:
    """Show on stderr how far a work has come; the block calls what it is given with (activity, steps done, steps in all).

    A terminal gets a bar that vanishes at the end; anything else gets a plain line for each new activity.
    """
    if sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _tell_activities()


def _tell_activities() -> Progress:
    last = ""

    def show(activity: str, _done: int, _total: int) -> None:
        nonlocal last
        if activity != last:
            say(activity)
            last = activity

    return show


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda activity, done, total: bar.update(task, description=escape(activity), completed=done, total=total)
