"""What the examples work on: the digits, and a bundle of them in every format."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edgekit.arrays import Arrays

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


@pytest.fixture(scope="session")
def load_example() -> Callable[[str], ModuleType]:
    """Loads a script of the example by its name, as Python does for its neighbours."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, DIGITS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def evaluation() -> Arrays:
    """500 digits, with their labels."""
    with np.load(DIGITS / "evaluation.npz") as data:
        return dict(data)


@pytest.fixture(scope="session")
def digits_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits in every format and precision, as the demo makes them."""
    out = tmp_path_factory.mktemp("digits") / "bundle"
    data = ["--calibration", DIGITS / "calibration.npz", "--evaluation", DIGITS / "evaluation.npz"]
    subprocess.run([sys.executable, "-m", "edgekit", "convert", DIGITS / "digits.onnx", "-o", out, *data], check=True, capture_output=True)
    return out
