"""How long variants take on this machine, measured so that two figures can be compared.

Machines warm up, slow down and have neighbours. So the variants take turns in short rounds, in another order each time,
one running at a time; a figure is the median of its rounds, and their spread stands beside it.
"""

import contextlib
import math
import os
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.bundles import VerifiedBundle
from edgekit.errors import DeviceError, InputError
from edgekit.hardware import describe_hardware
from edgekit.manifest import Latency, Measurement, Skipped, Variant
from edgekit.measuring import IsolatedSession
from edgekit.runtimes.base import Runtime
from edgekit.runtimes.registry import find_runtime
from edgekit.targets import Hardware, find_target
from edgekit.tensors import TensorSpec

ROUNDS = 7
#: How long a session runs in each round, in seconds: long enough that a timer tick does not decide.
MIN_ROUND_S = 0.1
MIN_ITERATIONS = 5
_MAX_ITERATIONS = 20_000

#: Called with how many turns are done, and how many there are.
Progress = Callable[[int, int], None]


class Timed(Protocol):
    """What can be timed: an IsolatedSession, here or elsewhere."""

    def time(self, inputs: Mapping[str, Array], iterations: int) -> list[float]:
        """Milliseconds of each of *iterations* inferences, warm."""
        ...


@dataclass(frozen=True)
class Benchmark:
    """What was measured, variant by variant, and the variants that could not be."""

    measured: tuple[tuple[Variant, Measurement], ...]
    skipped: tuple[Skipped, ...]


def measure_latencies(
    sessions: Mapping[str, Timed],
    sample: Arrays,
    *,
    rounds: int = ROUNDS,
    min_round_s: float = MIN_ROUND_S,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Latency]:
    """The latency of each of *sessions* on *sample*, by name.

    The warm-up also tells how many inferences a round of *min_round_s* seconds takes, at least 5. *seed* fixes the orders.

    Raises:
        DeviceError: a session died or hung.
    """
    report = progress or (lambda _done, _total: None)
    total = len(sessions) * (rounds + 1)
    iterations: dict[str, int] = {}
    for name, session in sessions.items():
        report(len(iterations), total)
        iterations[name] = _calibrate(session.time(sample, MIN_ITERATIONS), min_round_s)
    turns = _plan_turns(list(sessions), rounds, random.Random(seed))  # noqa: S311 - an order, not a secret
    taken: dict[str, list[list[float]]] = {name: [] for name in sessions}
    for turn, name in enumerate(turns):
        report(len(sessions) + turn, total)
        taken[name].append(sessions[name].time(sample, iterations[name]))
    report(total, total)
    return {name: summarize_rounds(times) for name, times in taken.items()}


def _calibrate(times_ms: list[float], min_round_s: float) -> int:
    typical_s = max(statistics.median(times_ms) / 1e3, 1e-9)
    return min(max(MIN_ITERATIONS, math.ceil(min_round_s / typical_s)), _MAX_ITERATIONS)


def _plan_turns(names: list[str], rounds: int, rng: random.Random) -> list[str]:
    """Every name once in each round, in an order of the round's own."""
    return [name for _ in range(rounds) for name in rng.sample(names, len(names))]


def summarize_rounds(rounds: list[list[float]]) -> Latency:
    """The latency that *rounds* of milliseconds show: p50 is the median of their medians, p95 and p99 are over all of them."""
    medians = [statistics.median(times) for times in rounds]
    p50 = statistics.median(medians)
    # Rounds that differ may put the median of medians above a percentile of all, and p95 is never below p50.
    p95, p99 = np.maximum(np.percentile(np.concatenate(rounds), [95, 99]), p50)
    low, high = np.percentile(medians, [25, 75])
    return Latency(p50=p50, p95=float(p95), p99=float(p99), spread=float(high - low), rounds=len(rounds), n=sum(map(len, rounds)))


def benchmark_bundle(
    bundle: VerifiedBundle,
    runtimes: Mapping[str, Runtime] | None = None,
    *,
    variants: tuple[str, ...] | None = None,
    threads: int = 1,
    rounds: int = ROUNDS,
    progress: Progress | None = None,
) -> Benchmark:
    """Measure the variants of *bundle* on this machine, at batch 1 on a golden sample.

    Args:
        bundle: an open bundle.
        runtimes: which runtimes may be used, by name; None means all that are installed.
        variants: ids of the variants to measure; None means all that are here.
        threads: how many threads a runtime may use; with one, each process is pinned to the same CPU.
        rounds: how many rounds are timed.
        progress: called before each turn.

    Raises:
        UnknownName: the bundle has no such variant.
    """
    sample = take_sample(bundle.read_golden().inputs, bundle.manifest.inputs)
    chosen = bundle.variants if variants is None else tuple(map(bundle.manifest.find_variant, dict.fromkeys(variants)))
    skipped: list[Skipped] = []
    with contextlib.ExitStack() as stack:
        opened: dict[str, IsolatedSession] = {}
        for variant in chosen:
            try:
                opened[variant.id] = stack.enter_context(make_session(bundle, variant, threads, runtimes))
                opened[variant.id].infer(sample)
            except (DeviceError, InputError) as error:
                opened.pop(variant.id, None)
                skipped.append(Skipped(id=variant.id, format=variant.format, precision=variant.precision, reason=str(error)))
        latencies = measure_latencies(opened, sample, rounds=rounds, progress=progress)
        hardware = describe_hardware()
        measured = tuple((one, describe_measurement(opened[one.id], latencies[one.id], hardware)) for one in chosen if one.id in opened)
    return Benchmark(measured, tuple(skipped))


def _find_runtime(variant: Variant, runtimes: Mapping[str, Runtime] | None) -> Runtime:
    if variant.accelerator is not None:
        # A runtime for CPUs may load it, and its figure would say nothing of the device.
        raise DeviceError(f"variant {variant.id!r}", f"it is made for {variant.accelerator}, and no runtime here drives that")
    if runtimes is None:
        return find_runtime(variant.format)
    for name in sorted(runtimes):
        if variant.format in runtimes[name].formats:
            return runtimes[name]
    raise DeviceError(f"variant {variant.id!r}", f"none of the runtimes {sorted(runtimes)} runs {variant.format} models", "Install or allow another.")


def make_session(bundle: VerifiedBundle, variant: Variant, threads: int, runtimes: Mapping[str, Runtime] | None = None) -> IsolatedSession:
    """A session for *variant* in a process of its own, not open yet, in one of *runtimes*, or in one that is installed.

    Raises:
        DeviceError: no such runtime is installed, or the variant is made for an accelerator.
    """
    manifest, runtime = bundle.manifest, _find_runtime(variant, runtimes)
    return IsolatedSession(bundle.path_of(variant), variant, manifest.inputs, manifest.outputs, runtime.name, threads, choose_cpu(threads))


def choose_cpu(threads: int) -> int | None:
    """The CPU to which each process that runs one thread is pinned: the same for all, so that none has a quieter one.

    It is the last, since the first serves most interrupts. None for more threads, which the system then places.
    """
    return max(os.sched_getaffinity(0)) if threads == 1 else None


def describe_measurement(session: IsolatedSession, latency: Latency, hardware: Hardware) -> Measurement:
    """The record of what *session*, still open, cost on *hardware*."""
    return Measurement(
        machine=hardware.machine,
        target=find_target(hardware),
        runtime=session.runtime_name,
        runtime_version=session.runtime_version,
        threads=session.threads,
        latency_ms=latency,
        rss_mb=session.rss_mb,
    )


def take_sample(samples: Arrays, specs: Sequence[TensorSpec]) -> Arrays:
    """The first of *samples*, as many times as the fixed batch of a model with *specs* asks for: once where it takes any."""
    sizes = {spec.name: spec.shape[0] for spec in specs if spec.shape}
    return {name: np.repeat(array[:1], _count(sizes.get(name)), axis=0) for name, array in samples.items()}


def _count(size: int | str | None) -> int:
    return size if isinstance(size, int) else 1
