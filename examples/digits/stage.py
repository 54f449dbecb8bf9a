"""What the demo stands on: it shows the commands that it runs, and ends every process that it started, whatever happens."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

READY_S, STOP_S = 120, 20
#: So much of each process's log is shown when the story cannot go on.
LOG_LINES = 20
KEPT = "kept.json"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(SystemExit):
    """The story cannot go on."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the demo stops here: {problem}")


class Interrupted(Stopped):
    """Somebody wants the story to end here."""


@dataclass(frozen=True)
class Child:
    """A process in the background: *out* is what it says to programs, *log* what it says to people."""

    name: str
    process: subprocess.Popen[bytes]
    out: Path
    log: Path

    @property
    def memory_mb(self) -> float:
        """The memory that it holds, in MiB (VmRSS, proc(5))."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


class Stage:
    """Processes that run while the block does, their logs in *place*. They are ended in reverse, also on Ctrl-C and on a failure."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.children: list[Child] = []

    def __enter__(self) -> "Stage":
        for number in SIGNALS:
            signal.signal(number, _leave)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for child in reversed(self.children):
            _end(child.process)
        if isinstance(error, Stopped) and not isinstance(error, Interrupted):
            self._show_logs()

    def _show_logs(self) -> None:
        """The last that each process said to people, for whoever looks for what went wrong."""
        for child in self.children:
            lines = child.log.read_text(errors="replace").splitlines()
            print("\n".join([f"\n-- the end of {child.log}", *lines[-LOG_LINES:]]), file=sys.stderr, flush=True)

    def start(self, name: str, *words: str | Path) -> Child:
        """Start a command of edgekit in the background, and wait for the line of JSON with which it says that it is up."""
        print(f"$ {shlex.join(map(str, words))} &", flush=True)
        self.place.mkdir(parents=True, exist_ok=True)
        out, log = self.place / f"{name}.out", self.place / f"{name}.log"
        with out.open("wb") as stdout, log.open("wb") as stderr:
            # A session of its own: Ctrl-C is for the demo, which then ends its children one by one.
            process = subprocess.Popen([*_find_program(str(words[0])), *map(str, words[1:])], stdout=stdout, stderr=stderr, start_new_session=True)
        child = Child(name, process, out, log)
        self.children.append(child)
        wait_until(lambda: self.is_ready(child), READY_S, f"{name} does not come up (see {log})")
        return child

    def is_ready(self, child: Child) -> bool:
        """Whether *child* has said that it is up; Stopped where it has ended instead."""
        if child.process.poll() is not None:
            raise Stopped(f"{child.name} ended with exit code {child.process.returncode}:\n{child.log.read_text()[-2000:]}")
        return child.out.read_bytes().endswith(b"\n")

    def keep(self) -> str:
        """Let the processes go on when the demo ends; gives the command that ends them."""
        pids = [child.process.pid for child in reversed(self.children)]
        (self.place / KEPT).write_text(json.dumps(pids))
        self.children.clear()
        return f"kill {' '.join(map(str, pids))}"


def refuse_kept(place: Path) -> None:
    """Stopped where an earlier demo's processes are still at work in *place*."""
    path = place / KEPT
    if not path.exists():
        return
    alive = [pid for pid in json.loads(path.read_text()) if _is_ours(pid)]
    if alive:
        raise Stopped(f"the fleet of an earlier demo is still up; end it with: kill {' '.join(map(str, alive))}")


def _is_ours(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    # Another process may have the number by now.
    return b"edgekit" in command or b"load.py" in command


def _find_program(name: str) -> list[str]:
    return [sys.executable] if name == "python" else [str(Path(sys.executable).with_name(name))]


def _leave(number: int, _: FrameType | None) -> None:
    # What ends the children is not to be interrupted.
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise Interrupted(f"signal {signal.Signals(number).name} came")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tell(text: str) -> None:
    """One step of the story."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def run(*words: str | Path, fails: int = 0, quiet: bool = False) -> str:
    """Run a command, and show what it prints as it comes, or where *quiet* give it back; *fails* is the exit code that the story expects."""
    print(f"$ {shlex.join(map(str, words))}", flush=True)
    done = subprocess.run(
        [*_find_program(str(words[0])), *map(str, words[1:])],
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.PIPE if quiet else None,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "140"},
    )
    if done.returncode != fails:
        raise Stopped(f"{words[0]} ended with exit code {done.returncode}, and {fails} was expected\n{done.stderr or ''}")
    return done.stdout or ""


def wait_until(is_true: Callable[[], Any], timeout_s: float, problem: str | Callable[[], str]) -> None:
    """Ask until *is_true*; Stopped with *problem*, or what it says by then, after *timeout_s* seconds."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            raise Stopped(problem() if callable(problem) else problem)
        time.sleep(0.05)
