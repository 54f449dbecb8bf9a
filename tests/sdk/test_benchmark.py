"""Figures that can be compared: rounds in turn, medians, spread."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from edgekit.artifacts import FileEntry, bind_identically
from edgekit.benchmark import MIN_ITERATIONS, benchmark_bundle, measure_latencies, summarize_rounds
from edgekit.bundles import MANIFEST, VerifiedBundle, open_bundle
from edgekit.errors import UnknownName
from edgekit.files import digest_bytes
from edgekit.golden import GoldenSamples
from edgekit.hardware import describe_hardware
from edgekit.manifest import Lineage, Manifest, Parity, Tolerance, Variant
from edgekit.runtimes.onnx_runtime import OnnxRuntime
from edgekit.targets import find_target
from edgekit.tensors import TensorSpec

DATA = Path(__file__).parent / "runtimes" / "data"


class Recorded:
    """A session whose inferences take *ms* each, and which notes its turns in *log*."""

    def __init__(self, name: str, ms: float, log: list[tuple[str, int]]) -> None:
        self._name, self._ms, self._log = name, ms, log

    def time(self, inputs, iterations):
        self._log.append((self._name, iterations))
        return [self._ms] * iterations


def measure(log: list, seed: int = 0, progress=None, **latencies: float):
    sessions = {name: Recorded(name, ms, log) for name, ms in latencies.items()}
    return measure_latencies(sessions, {}, rounds=5, min_round_s=0.1, seed=seed, progress=progress)


def test_sessions_take_turns():
    """Each round times every session once, in orders that differ from round to round and repeat with the seed."""
    log, again, other = [], [], []
    measure(log, a=1.0, b=1.0, c=1.0)
    measure(again, a=1.0, b=1.0, c=1.0)
    measure(other, seed=1, a=1.0, b=1.0, c=1.0)
    rounds = [tuple(name for name, _ in log[start : start + 3]) for start in range(3, len(log), 3)]
    assert len(rounds) == 5 and all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len(set(rounds)) > 1
    assert log == again != other


def test_a_round_is_long_enough():
    """A session runs as often as fills 0.1 s, and at least 5 times however slow it is."""
    log = []
    found = measure(log, fast=0.5, slow=400.0)
    assert {iterations for name, iterations in log[2:] if name == "fast"} == {200}
    assert {iterations for name, iterations in log[2:] if name == "slow"} == {MIN_ITERATIONS}
    assert (found["fast"].n, found["fast"].rounds, found["fast"].p50) == (1000, 5, 0.5)


def test_progress_counts_to_its_end():
    """Progress never goes back, and ends with everything done."""
    seen = []
    measure([], progress=lambda done, total: seen.append((done, total)), a=1.0, b=1.0)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {total for _, total in seen} == {12} and seen[-1] == (12, 12)


def test_nothing_to_measure_is_nothing_measured():
    """Without sessions there are no latencies."""
    assert measure([]) == {}


def test_a_figure_is_the_median_of_its_rounds():
    """One disturbed round moves neither the median nor, by much, the spread, and shows in the percentiles."""
    latency = summarize_rounds([[1.0] * 10, [1.1] * 10, [0.9] * 10, [50.0] * 10, [1.0] * 10])
    assert latency.p50 == 1.0
    assert latency.spread == pytest.approx(0.1)
    assert latency.p95 == latency.p99 == 50.0
    assert (latency.rounds, latency.n) == (5, 50)


def test_percentiles_are_never_below_the_median():
    """However the rounds differ, p50 <= p95 <= p99."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        latency = summarize_rounds([list(rng.exponential(size=5) * scale) for scale in rng.exponential(size=3)])
        assert latency.p50 <= latency.p95 <= latency.p99


@pytest.fixture
def bundle(tmp_path) -> VerifiedBundle:
    """A bundle of one good variant, one whose file is no model, and one that no runtime here can run."""
    x, y = (TensorSpec(name=name, dtype="float32", shape=("batch", size)) for name, size in (("x", 3), ("y", 2)))

    def write(path: str, data: bytes) -> FileEntry:
        (tmp_path / path).write_bytes(data)
        return FileEntry(path=path, digest=digest_bytes(data), length=len(data))

    def variant(id: str, format: str, data: bytes) -> Variant:
        parity, tolerance = Parity(max_abs=0.0, mean_abs=0.0, n=32), Tolerance(max_abs=0.1, mean_abs=0.1)
        bound = {"inputs": bind_identically((x,)), "outputs": bind_identically((y,))}
        return Variant(id=id, format=format, precision="fp32", files=(write(id, data),), parity=parity, tolerance=tolerance, **bound)

    golden = GoldenSamples({"x": np.ones((32, 3), np.float32)}, {"y": np.ones((32, 2), np.float32)})
    manifest = Manifest(
        name="affine",
        inputs=(x,),
        outputs=(y,),
        golden=write("golden", golden.encode()),
        golden_origin="synthetic",
        variants=(
            variant("broken", "onnx", b"no model"),
            variant("good", "onnx", (DATA / "affine.onnx").read_bytes()),
            variant("alien", "abacus", b"beads"),
        ),
        lineage=Lineage(source="affine.onnx", source_format="onnx", source_digest=digest_bytes(b""), source_size=0),
    )
    (tmp_path / MANIFEST).write_bytes(manifest.encode())
    return open_bundle(tmp_path)


@pytest.mark.skipif(OnnxRuntime().find_version() is None, reason="onnxruntime is not installed in this environment")
def test_a_bundle_is_measured_and_what_cannot_be_is_told(bundle):
    """A good variant gets a measurement of this machine; one that no runtime runs, and one that does not load, get a reason."""
    found = benchmark_bundle(bundle, rounds=2)
    ((variant, measurement),) = found.measured
    assert variant.id == "good"
    hardware = describe_hardware()
    assert (measurement.machine, measurement.target) == (hardware.machine, find_target(hardware))
    assert (measurement.runtime, measurement.runtime_version) == ("onnxruntime", OnnxRuntime().find_version())
    assert 0 < measurement.latency_ms.p50 < 100 and measurement.rss_mb > 10
    reasons = {one.id: one.reason for one in found.skipped}
    assert list(reasons) == ["broken", "alien"]
    assert "not a whole ONNX model" in reasons["broken"] and "abacus" in reasons["alien"]


def test_only_the_variants_asked_for_are_measured(bundle):
    """Variants not asked for are neither measured nor reported, and an unknown one is refused before anything runs."""
    found = benchmark_bundle(bundle, variants=("alien", "alien"), rounds=1)
    assert [one.id for one in found.skipped] == ["alien"] and found.measured == ()
    with pytest.raises(UnknownName, match="ghost"):
        benchmark_bundle(bundle, variants=("ghost",))


def test_only_the_runtimes_allowed_are_used(bundle):
    """With no runtime allowed everything is skipped."""
    found = benchmark_bundle(bundle, {}, rounds=1)
    assert found.measured == () and len(found.skipped) == 3


def test_what_is_for_an_accelerator_is_not_measured(bundle):
    """A runtime for CPUs may load such a variant, and its figure would say nothing of the device, so it is skipped with the reason."""
    variants = tuple(replace(variant, accelerator="nvidia") for variant in bundle.manifest.variants)
    (bundle.root / MANIFEST).write_bytes(replace(bundle.manifest, variants=variants).encode())
    found = benchmark_bundle(open_bundle(bundle.root), rounds=1)
    assert found.measured == ()
    assert all("made for nvidia, and no runtime here drives that" in one.reason for one in found.skipped)
