"""The code in the documentation runs as it stands."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the examples, and the bundle that the README's first command makes."""
    directory = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "examples", directory / "examples")
    (command, *_) = find_blocks("README.md", "sh")
    words = command.replace("\\\n", " ").splitlines()[0].split()
    subprocess.run([sys.executable, "-m", "edgekit", *words[1:], "--to", "onnx"], cwd=directory, check=True, capture_output=True)
    return directory


def find_blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


@contextmanager
def serving(bundle: Path) -> Iterator[str]:
    """The agent, on a free port: its address."""
    command = [sys.executable, "-m", "edgekit_agent", "serve", str(bundle), "--http", "127.0.0.1:0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout is not None
        try:
            yield re.findall(r"127\.0\.0\.1:\d+", agent.stdout.readline())[0]
        finally:
            agent.terminate()


def run(code: str, place: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_of_the_readme(place: Path) -> None:
    """The README's ten lines of Python print the first five digits."""
    (code,) = find_blocks("README.md", "python")
    assert re.fullmatch(r"\[\d \d \d \d \d\]\n", run(code, place))


def test_requests_of_the_guide(place: Path) -> None:
    """Both requests of the guide to the local API are answered, with JSON and with bytes."""
    with serving(place / "digits-bundle") as address:
        blocks = [code.replace("127.0.0.1:8080", address) for code in find_blocks("docs/guides/local-api.md", "python")]
        with_json, with_bytes = (run(code, place) for code in blocks)
    assert "logits" in with_json
    assert re.fullmatch(r"\d\n", with_bytes)


@pytest.mark.parametrize("page", sorted(str(path.relative_to(ROOT)) for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]))
def test_links_lead_somewhere(page: str) -> None:
    """Each relative link of a page names a file that is there."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", (ROOT / page).read_text())
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []
