"""How this process and the machine beneath it are: memory, CPU and temperature, where they can be read."""

import logging
import os
import time
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

#: What a sensor may say, in °C. Some say 0 kelvin or the largest number that they have where nothing is connected.
COLDEST, HOTTEST = -60.0, 150.0


class Vital(NamedTuple):
    """Resident memory of this process in MiB, its share of all the machine's cores, and the hottest sensor in °C; None is unknown."""

    memory_mb: float | None
    cpu_share: float | None
    temperature_c: float | None


class Vitals:
    """Reads how things are. *root* is where the machine's files are. One thread uses it."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._used_s = time.process_time()
        self._at_s = time.monotonic()

    def read(self) -> Vital:
        """How things are now; the CPU's share is over the time since the last call."""
        return Vital(self._read_memory(), self._read_cpu(), self._read_temperature())

    def _read_memory(self) -> float | None:
        # The second number is the resident pages (proc(5), statm).
        fields = (_read(self._root / "proc/self/statm") or "").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20) if len(fields) > 1 else None

    def _read_cpu(self) -> float | None:
        used_s, at_s = time.process_time(), time.monotonic()
        elapsed_s, busy_s = at_s - self._at_s, used_s - self._used_s
        self._used_s, self._at_s = used_s, at_s
        return busy_s / elapsed_s / (os.cpu_count() or 1) if elapsed_s > 0 else None

    def _read_temperature(self) -> float | None:
        told = [_read(path) for path in self._root.glob("sys/class/thermal/thermal_zone*/temp")]
        # In thousandths of a degree (Documentation/driver-api/thermal/sysfs-api.rst of Linux).
        degrees = [int(text) / 1000 for text in told if text is not None and text.removeprefix("-").isdigit()]
        return max((one for one in degrees if COLDEST < one < HOTTEST), default=None)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError as error:
        # Sensors that sleep answer with EAGAIN or EINVAL, and what cannot be read is unknown.
        log.debug("%s cannot be read: %s", path, error)
        return None
