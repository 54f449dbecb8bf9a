"""How long ``edgekit --help`` takes against ``python -c 'import click'``: medians of interleaved runs.

The command line must answer at once: at most 1.5 times what click alone costs.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 21
COMMANDS = {
    "click": [sys.executable, "-c", "import click"],
    "edgekit --help": [str(Path(sys.executable).with_name("edgekit")), "--help"],
}


def time_command(command: list[str]) -> float:
    """The milliseconds that one run of *command* takes."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - started) * 1000


def main() -> None:
    """Run both in turn, so that whatever else the machine does meets both alike."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            times[name].append(time_command(command))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:15} {median:6.1f} ms")
    print(f"ratio           {medians['edgekit --help'] / medians['click']:6.2f}")


if __name__ == "__main__":
    main()
