"""The fleet's own broker: a Mosquitto child process, started again whenever it dies, and never alive longer than we are."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType

from edgekit.addresses import BrokerAddress, Endpoint
from edgekit.errors import DeviceError
from edgekit.files import naming_disk_errors, write_file
from edgekit.fleet.broker_configuration import encode_configuration
from edgekit.fleet.listening import bind_socket, check_loopback
from edgekit.fleet.mosquitto import Mosquitto, find_mosquitto
from edgekit.fleet.probing import is_answering
from edgekit.fleet.tethering import tether

log = logging.getLogger(__name__)

#: Called with a sentence when the broker died and when it is back.
Report = Callable[[str], Awaitable[None]]

_START_SECONDS = 10.0
_STOP_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0
#: A broker that lived this long was well, so the next pause is a short one again.
_WELL_SECONDS = 60.0
_TAIL_LINES = 5


class Broker:
    """Mosquitto on *listen*, with its files in *directory*. As a context manager it starts and stops it; watch() keeps it up.

    *patience_s* is how long a port that is taken is waited for: one of a server that was killed may still write its state.
    """

    def __init__(
        self, directory: Path, listen: Endpoint, report: Report, find: Callable[[], Mosquitto] | None = None, patience_s: float = 0.0
    ) -> None:
        self.directory = directory
        self.listen = listen
        self._report = report
        self._patience_s = patience_s
        self._find = find or (lambda: find_mosquitto(log.info))
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._command: list[str] = []
        self._environment: dict[str, str] = {}

    @property
    def address(self) -> BrokerAddress:
        """Where it is reached, once it was started."""
        return BrokerAddress(host=self.listen.host, port=self.listen.port)

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def __aenter__(self) -> "Broker":
        """Start it, and wait until it answers.

        Raises:
            DeviceError: there is no Mosquitto, the port is taken, or it does not start; its own last words are told.
            InputError: *listen* can be reached by other machines, which would need accounts.
        """
        check_loopback(self.listen, "mqtt")
        program = await asyncio.to_thread(self._find)
        self.listen = await _claim_port(self.listen, self._patience_s)
        self._write_configuration()
        self._command = tether([str(program.path), "-c", str(self._configuration)])
        self._environment = program.environment
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop it: it writes down what it holds, and ends."""
        await self._stop()

    async def watch(self) -> None:
        """Start it again whenever it ends, each time after a longer pause, and report both. Returns only when cancelled."""
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            await self._report(await self._wait_for_end())
            pause = _FIRST_PAUSE if time.monotonic() - began > _WELL_SECONDS else pause
            pause = await self._restart(pause)

    async def _restart(self, pause: float) -> float:
        """Try until it answers again; the pause to begin with when it dies soon after."""
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                await self._start()
            except DeviceError as error:
                await self._stop()
                await self._report(f"{error} Trying again in {pause:g} s.")
            else:
                await self._report(f"the broker is back on {self.listen}")
                return pause

    async def _wait_for_end(self) -> str:
        if self._process is None or self._reading is None:
            raise RuntimeError("the broker is watched before it was started")
        code = await self._process.wait()
        await self._reading
        return f"the broker ended {_describe_exit(code)}; {self._last_words()}"

    async def _start(self) -> None:
        self._tail.clear()
        self._process = await asyncio.create_subprocess_exec(
            *self._command, env=self._environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        self._reading = asyncio.create_task(self._read_log(self._process))
        deadline = time.monotonic() + _START_SECONDS
        while not await self._answers():
            if self._process.returncode is not None:
                await self._reading
                raise DeviceError(f"broker on {self.listen}", f"Mosquitto ended while it started: {self._last_words()}")
            if time.monotonic() > deadline:
                raise DeviceError(f"broker on {self.listen}", f"Mosquitto does not answer after {_START_SECONDS:g} s: {self._last_words()}")
            await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        if not await is_answering(self.address):
            return False
        # Another program may have taken the port and speak MQTT too: then ours is ending, and that is waited for.
        return self._process is not None and self._process.returncode is None

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        if process.stderr is None:
            raise RuntimeError("the broker was started without its log")
        async for line in process.stderr:
            text = line.decode(errors="replace").rstrip()
            self._tail.append(text)
            log.info("mosquitto: %s", text)

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except (asyncio.TimeoutError, TimeoutError):
            log.warning("Mosquitto did not end within %g s, and is killed", _STOP_SECONDS)
            process.kill()
            await process.wait()
        if self._reading is not None:
            await self._reading

    def _last_words(self) -> str:
        return " / ".join(self._tail) or "it said nothing"

    @property
    def _configuration(self) -> Path:
        return self.directory / "mosquitto.conf"

    def _write_configuration(self) -> None:
        with naming_disk_errors(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            self.directory.chmod(0o700)
        write_file(self._configuration, encode_configuration(self.listen, self.directory).encode(), mode=0o600)


async def _claim_port(listen: Endpoint, seconds: float) -> Endpoint:
    """*listen* with a port that is free now, or within *seconds*."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with bind_socket(listen, "mqtt") as bound:
                return Endpoint(host=listen.host, port=bound.getsockname()[1])
        except DeviceError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.05)


def _describe_exit(code: int) -> str:
    return f"by signal {-code}" if code < 0 else f"with code {code}"
