"""``python -m edgekit_converters.probing``."""

import subprocess
import sys

from edgekit.operator_support import SupportTable


def test_one_operator_is_probed_by_the_command(tmp_path) -> None:
    """It writes a table and the page, and says so."""
    command = [sys.executable, "-m", "edgekit_converters.probing", "onnxruntime", "--operator", "Mish"]
    page = tmp_path / "operators.md"
    done = subprocess.run([*command, "--output", str(tmp_path), "--document", str(page)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("onnxruntime-*.json")
    assert set(SupportTable.decode(path.read_bytes()).operators) == {"Mish"}
    assert "| Mish | fallback" in page.read_text()
    assert f"{path}: 1 operators" in done.stderr


def test_an_unknown_operator_is_refused() -> None:
    """Nothing is probed for a name that is mistyped."""
    command = [sys.executable, "-m", "edgekit_converters.probing", "onnxruntime", "--operator", "Mich"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Mich" in done.stderr
