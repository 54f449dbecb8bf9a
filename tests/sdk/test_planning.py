"""A plan tells what a build would make, and makes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.build_request import BuildRequest
from edgekit.errors import InputError
from edgekit.files import digest_file
from edgekit.planning import plan_build

pytestmark = pytest.mark.workstation

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


def quiet(what: str, done: int, total: int) -> None:
    """No progress is shown."""


@pytest.fixture
def request_all(tmp_path: Path) -> BuildRequest:
    """Digits to all formats, with data."""
    data = {name: DIGITS / f"{name}.npz" for name in ("calibration", "evaluation")}
    return BuildRequest(source=DIGITS / "digits.onnx", destination=tmp_path / "bundle", **data)


def test_a_plan_names_the_variants_and_the_data(request_all: BuildRequest) -> None:
    """Each variant that would be tried has a size, each set of data its number of samples, and nothing is left on the disk."""
    plan = plan_build(request_all, quiet)
    assert [one.id for one in plan.variants] == [f"{name}-{number}" for name in ("onnx", "openvino", "tflite") for number in ("fp32", "int8")]
    by_id = {one.id: one.size for one in plan.variants}
    assert by_id["onnx-int8"] == pytest.approx(by_id["onnx-fp32"] / 4, abs=1)
    assert [(one.role, one.samples) for one in plan.data] == [("calibration", 200), ("evaluation", 500)]
    assert (plan.name, plan.precision, plan.source_digest) == ("digits", "fp32", digest_file(DIGITS / "digits.onnx"))
    assert not any("--" in sentence for sentence in plan.missing)
    assert list(request_all.destination.parent.iterdir()) == []


def test_what_is_missing_is_said(request_all: BuildRequest) -> None:
    """Without data it is said what that costs, and what would be skipped has its reason."""
    plan = plan_build(replace(request_all, calibration=None, evaluation=None, formats=("onnx",), precisions=("fp32", "int8")), quiet)
    assert [one.id for one in plan.variants] == ["onnx-fp32"]
    assert [(one.id, "--calibration" in one.reason) for one in plan.skipped] == [("onnx-int8", True)]
    assert [sentence.split(":")[0] for sentence in plan.missing] == ["There is no --calibration", "There is no --evaluation"]


def test_an_environment_that_would_be_made_is_told(request_all: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a format may need an environment that is not here, the plan says how much it takes; for ONNX alone there is none."""
    monkeypatch.setenv("EDGEKIT_ENVIRONMENTS", str(tmp_path / "none"))
    assert any("onnx2tf is not made" in sentence for sentence in plan_build(replace(request_all, formats=("tflite",)), quiet).missing)
    assert plan_build(replace(request_all, formats=("onnx",)), quiet).missing == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"source": DIGITS / "none.onnx"}, "no such file"),
        ({"calibration": DIGITS / "digits.onnx"}, "no kind of data"),
        ({"digests": {"source": "sha256:" + "0" * 64}}, "the recipe was written for"),
        ({"name": "two words"}, "--name"),
    ],
)
def test_what_a_build_would_refuse_is_refused(request_all: BuildRequest, change: dict[str, object], told: str) -> None:
    """What could not be built ends in the same error before any work."""
    with pytest.raises(InputError, match=told):
        plan_build(replace(request_all, **change), quiet)
