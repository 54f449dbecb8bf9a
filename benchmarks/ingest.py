"""What it costs to take telemetry in: broker, commit, acknowledgement, against a bare gmqtt consumer of the same messages.

Messages wait in the broker for both, so that neither waits for their sender. CPU is this process's own, all threads; the
broker's is not in it. The floor receives and acknowledges, and looks at nothing.
"""

import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gmqtt import Client

from edgekit.addresses import BrokerAddress, Endpoint
from edgekit.fleet.broker import Broker
from edgekit.fleet.ingest import Ingest
from edgekit.fleet.sessions import IN_FLIGHT, SESSION_SECONDS, Session
from edgekit.fleet.store.database import Store, open_store
from edgekit.histogram import record_values
from edgekit.telemetry import Batch, Interval, encode_batch
from edgekit.topics import SHARDS, filter_shard, name_up

ROUNDS = 5
MESSAGES = 10_000
DEVICES = 500


class Cost(NamedTuple):
    """Messages a second, and microseconds of CPU for one."""

    rate: float
    cpu_us: float


def make_message(device: str, number: int, epoch: str) -> tuple[str, bytes]:
    """One interval of one model, as a device sends it each minute."""
    latency = record_values([3.0 + (number % 7) / 10] * 50)
    names = {"model": "digits", "release": "digits@1.0.0", "variant": "onnx-int8", "runtime": "onnxruntime"}
    interval = Interval(sequence=number, start_ms=number * 60_000, duration_ms=60_000, requests=50, latency_ms=latency, **names)
    return name_up(device, "telemetry"), encode_batch(Batch(epoch=epoch, first_held=1, made=number, records=(interval,)))


async def fill(address: BrokerAddress, round_: int, epoch: str) -> None:
    """Let all devices send their next records, which wait in the sessions of both consumers."""
    each = MESSAGES // DEVICES
    async with Session(address, "devices") as devices:
        for number in range(round_ * each + 1, (round_ + 1) * each + 1):
            for device in range(DEVICES):
                await devices.publish(*make_message(f"device-{device}", number, epoch))


async def drain_floor(address: BrokerAddress, expected: int) -> Cost:
    """Receive *expected* messages with bare clients, one a shard, that acknowledge at once."""
    arrived = 0
    finished = asyncio.Event()

    async def on_message(*_: object) -> int:
        nonlocal arrived
        arrived += 1
        if arrived >= expected:
            finished.set()
        return 0

    clients = []
    for shard in range(SHARDS):
        client = Client(
            f"floor-{shard}",
            clean_session=False,
            optimistic_acknowledgement=False,
            session_expiry_interval=SESSION_SECONDS,
            receive_maximum=IN_FLIGHT,
        )
        client.on_message = on_message
        clients.append(client)
    began, cpu = time.perf_counter(), time.process_time()
    for shard, client in enumerate(clients):
        await client.connect(address.host, address.port)
        client.subscribe(filter_shard(shard), qos=1)
    if expected:
        await finished.wait()
    cost = measure(began, cpu, expected)
    for client in clients:
        await client.disconnect()
    return cost


async def drain_ingest(store: Store, address: BrokerAddress, expected: int) -> Cost:
    """Receive *expected* messages with ingest."""
    ingest = Ingest(store, address)
    began, cpu = time.perf_counter(), time.process_time()
    task = asyncio.create_task(ingest.run())
    await wait_until(lambda: len(ingest.shards_connected) == SHARDS and ingest.counts.stored >= expected)
    cost = measure(began, cpu, expected)
    task.cancel()
    await asyncio.wait({task})
    return cost


def measure(began: float, cpu: float, expected: int) -> Cost:
    """The cost since *began*, on the clocks of the wall and of the CPU."""
    count = max(1, expected)
    return Cost(count / (time.perf_counter() - began), (time.process_time() - cpu) / count * 1e6)


async def wait_until(is_so: Callable[[], bool]) -> None:
    """Look every two milliseconds."""
    while not is_so():
        await asyncio.sleep(0.002)


async def ignore(text: str) -> None:
    """What the broker reports."""


async def run(directory: Path) -> None:
    """Interleave both, so that whatever else the machine does meets both alike."""
    epoch = secrets.token_hex(8)
    costs: dict[str, list[Cost]] = {"floor": [], "ingest": []}
    with open_store(directory / "store.db") as store:
        async with Broker(directory / "broker", Endpoint(), ignore) as broker:
            await drain_floor(broker.address, 0)
            await drain_ingest(store, broker.address, 0)
            for round_ in range(ROUNDS):
                await fill(broker.address, round_, epoch)
                costs["floor"].append(await drain_floor(broker.address, MESSAGES))
                costs["ingest"].append(await drain_ingest(store, broker.address, MESSAGES))
    show(costs)


def show(costs: dict[str, list[Cost]]) -> None:
    """Medians of both, and their ratios."""
    rates = {name: statistics.median(cost.rate for cost in found) for name, found in costs.items()}
    cpus = {name: statistics.median(cost.cpu_us for cost in found) for name, found in costs.items()}
    for name, rate in rates.items():
        print(f"{name:8} {rate:8.0f} messages/s  {cpus[name]:6.1f} µs of CPU a message")
    print(f"ratio    {rates['floor'] / rates['ingest']:8.2f} of the time   {cpus['ingest'] / cpus['floor']:6.2f} of the CPU")


def main() -> None:
    """Measure in a directory that goes away."""
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(Path(directory)))


if __name__ == "__main__":
    main()
