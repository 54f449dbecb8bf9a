"""Sends real digits to agents at a steady rate, and holds each answer against the digit's label.

    python examples/digits/load.py roof-1=127.0.0.1:8451 gate-2=127.0.0.1:8452 --rate 40 --seconds 30

An answer counts as right when its class is the digit; one that does not come, or comes with another status than 200, has failed.
"""

import argparse
import http.client
import itertools
import json
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

EVALUATION = Path(__file__).parent / "evaluation.npz"
PATH = "/v2/models/digits/infer"
PATIENCE_S = 10


@dataclass
class Tally:
    """What one agent did so far: counts, the milliseconds that each answer took, and what went wrong first."""

    answered: int = 0
    right: int = 0
    failed: int = 0
    times_ms: list[float] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)
    first_failure: str = ""

    @property
    def sent(self) -> int:
        """All requests."""
        return self.answered + self.failed


class Load:
    """Asks each of *agents* (host and port by name) *rate* times a second, from `start` until `stop`; *tallies* has what came back."""

    def __init__(self, agents: Mapping[str, tuple[str, int]], rate: float) -> None:
        self.agents = agents
        self.rate = rate
        self.tallies = {name: Tally() for name in agents}
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on, args=(name, start), daemon=True) for start, name in enumerate(agents)]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more, and wait for the answers that are under way."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE_S)

    def wait_for(self, count: int, timeout_s: float) -> bool:
        """Wait until every agent has answered *count* requests more; False where that takes longer than *timeout_s*."""
        goals = {name: tally.answered + count for name, tally in self.tallies.items()}
        deadline = time.monotonic() + timeout_s
        while any(self.tallies[name].answered < goal for name, goal in goals.items()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _ask_on(self, name: str, start: int) -> None:
        host, port = self.agents[name]
        begin = time.monotonic()
        with closing(http.client.HTTPConnection(host, port, timeout=PATIENCE_S)) as line:
            for count, (body, label) in enumerate(deal_digits(start)):
                if self._stopping.wait(max(0.0, begin + count / self.rate - time.monotonic())):
                    return
                ask(line, body, label, self.tallies[name])


@contextmanager
def loading(agents: Mapping[str, tuple[str, int]], rate: float) -> Iterator[Load]:
    """A load on *agents* while the block runs."""
    load = Load(agents, rate)
    load.start()
    try:
        yield load
    finally:
        load.stop()


def deal_digits(start: int) -> Iterator[tuple[bytes, int]]:
    """Digits that the network never saw, over and over, from another one on for each *start*: requests and labels."""
    with np.load(EVALUATION) as data:
        images, labels = data["image"], data["labels"]
    order = np.roll(np.arange(len(labels)), -start * 150)
    yield from itertools.cycle([(encode_request(images[index]), int(labels[index])) for index in order])


def encode_request(image: np.ndarray[Any, Any]) -> bytes:
    """One image as an inference request of the Open Inference Protocol, in JSON."""
    tensor = {"name": "image", "datatype": "FP32", "shape": [1, *image.shape], "data": image.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


def ask(line: http.client.HTTPConnection, body: bytes, label: int, tally: Tally) -> None:
    """Send one request, and put what came of it into *tally*."""
    begin = time.perf_counter()
    try:
        found, version = exchange(line, body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        line.close()
        tally.failed += 1
        tally.first_failure = tally.first_failure or f"{type(error).__name__}: {error}"
        return
    tally.times_ms.append((time.perf_counter() - begin) * 1e3)
    tally.answered += 1
    tally.right += found == label
    tally.versions[version] += 1


def exchange(line: http.client.HTTPConnection, body: bytes) -> tuple[int, str]:
    """One request and its answer: the class with the highest score, and the version that answered. ValueError where it is none."""
    line.request("POST", PATH, body, {"Content-Type": "application/json"})
    response = line.getresponse()
    data = response.read()
    if response.status != 200:
        raise ValueError(f"{response.status} {data[:200].decode(errors='replace')}")
    answer = json.loads(data)
    scores = np.array(answer["outputs"][0]["data"], np.float32)
    if not np.isfinite(scores).all():
        raise ValueError(f"the answer is not finite: {scores.tolist()}")
    return int(scores.argmax()), answer.get("model_version", "")


def describe(tally: Tally) -> str:
    """What *tally* says, in one line."""
    if not tally.answered:
        return f"nothing answered, {tally.failed} failed ({tally.first_failure})"
    quantiles = statistics.quantiles(tally.times_ms, n=100, method="inclusive") if len(tally.times_ms) > 1 else tally.times_ms * 99
    failed = f"{tally.failed} failed ({tally.first_failure})" if tally.failed else "0 failed"
    return f"{tally.answered} answered, {tally.right / tally.answered:.1%} right, {failed}, p50 {quantiles[49]:.2f} ms, p99 {quantiles[98]:.2f} ms"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agents", nargs="+", metavar="NAME=HOST:PORT")
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second to each agent")
    parser.add_argument("--seconds", type=float, default=30.0)
    chosen = parser.parse_args()
    agents = {}
    for text in chosen.agents:
        name, _, address = text.partition("=")
        host, _, port = address.rpartition(":")
        agents[name] = (host, int(port))
    with loading(agents, chosen.rate) as load:
        print(f"asking {', '.join(agents)}", flush=True)
        time.sleep(chosen.seconds)
    for name, tally in load.tallies.items():
        print(f"{name}: {describe(tally)}")


if __name__ == "__main__":
    main()
