"""Memory, CPU and temperature are told where they can be read, and are unknown elsewhere."""

import os
from pathlib import Path

from edgekit_agent.vitals import Vitals


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_this_process_has_memory_and_a_share_of_the_cpu():
    """On a real machine the resident memory is that of a Python process, and working shows in the CPU's share."""
    vitals = Vitals()
    sum(number * number for number in range(300_000))
    vital = vitals.read()
    assert 5 < vital.memory_mb < 5_000
    assert 0 < vital.cpu_share <= 1.05


def test_memory_is_in_mebibytes(tmp_path):
    """The kernel counts pages, and the record has MiB."""
    pages = (100 << 20) // os.sysconf("SC_PAGE_SIZE")
    write(tmp_path, "proc/self/statm", f"999999 {pages} 1 1 0 1 0\n")
    assert Vitals(tmp_path).read().memory_mb == 100.0


def test_the_hottest_sensor_counts(tmp_path):
    """Of several sensors the hottest is told, and what no sensor can mean is passed over."""
    for number, text in enumerate(("41500\n", "52000\n", "-274000\n", "2147483647\n", "nonsense\n")):
        write(tmp_path, f"sys/class/thermal/thermal_zone{number}/temp", text)
    # A sensor that cannot be read at all.
    (tmp_path / "sys/class/thermal/thermal_zone9/temp").mkdir(parents=True)
    assert Vitals(tmp_path).read().temperature_c == 52.0


def test_what_cannot_be_read_is_unknown(tmp_path):
    """Without the kernel's files, memory and temperature are None, never zero."""
    vital = Vitals(tmp_path).read()
    assert (vital.memory_mb, vital.temperature_c) == (None, None)
