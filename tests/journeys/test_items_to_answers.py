"""From a file to an answer, with real processes: what a workstation says of a picture, a sound, a text or a table, every device says too."""

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekit
from edgekit.answers import Answer

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"
EDGEKIT = (sys.executable, "-m", "edgekit")
AGENT = (sys.executable, "-m", "edgekit_agent")
LABELS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
#: As the digits were scaled for training: 16 steps of grey, from 0 to 1.
CONTRACT = f"""
task = "classify"
labels = {json.dumps(LABELS)}

[[inputs]]
name = "photo"
kind = "image"
feeds = "image"
steps = [
    {{step = "resize", width = 8, height = 8, interpolation = "area", antialias = false}},
    {{step = "color", order = "GRAY"}},
    {{step = "scale", factor = 0.00392156862745098}},
    {{step = "layout", axes = "CHW"}},
]

[answer]
read = "classes"
output = "logits"
activation = "softmax"
top = 3
"""


def run(*words: object) -> str:
    done = subprocess.run(list(map(str, words)), check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def agent(*words: object) -> Iterator[str]:
    """An agent that serves: its address."""
    with subprocess.Popen(list(map(str, (*AGENT, *words, "--json"))), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line, process.communicate(timeout=30)[1]
            yield json.loads(line)["address"]
            process.send_signal(signal.SIGTERM)
            log = process.communicate(timeout=30)[1]
            assert (process.returncode, "Traceback" in log) == (0, False), log
        finally:
            process.kill()


@contextmanager
def serving_files(directory: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_args):
            """Tests keep their output to themselves."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def ask(address: str, model: str, item: bytes, media: str) -> dict[str, np.ndarray]:
    """What the agent at *address* says of *item*, by name."""
    request = urllib.request.Request(f"{address}/v2/models/{model}/infer", item, {"Content-Type": media})
    with urllib.request.urlopen(request, timeout=30) as response:
        outputs = json.load(response)["outputs"]
    return {one["name"]: np.array(one["data"]).reshape(one["shape"]) for one in outputs}


def assert_equal(found: dict[str, np.ndarray], answer: Answer) -> None:
    """The same words and, to the last digit that JSON carries, the same numbers."""
    expected: dict[str, Any] = dict(answer.arrays) | ({"labels": np.array(answer.labels)} if answer.labels is not None else {})
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].astype(array.dtype) == array).all(), name


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The digits as folders of PNGs, a folder for each class: those to calibrate by and those to evaluate by."""
    from PIL import Image

    root = tmp_path_factory.mktemp("pictures")
    data = np.load(EXAMPLE / "evaluation.npz")
    for index, (image, label) in enumerate(zip(data["image"], data["labels"], strict=True)):
        folder = root / ("calibration" if index % 4 == 0 else "evaluation") / LABELS[label]
        folder.mkdir(parents=True, exist_ok=True)
        enlarged = np.repeat(np.repeat(np.rint(image[0] * 255).astype(np.uint8), 4, 0), 4, 1)
        Image.fromarray(enlarged).save(folder / f"{index}.png")
    return {part: root / part for part in ("calibration", "evaluation")}


@pytest.mark.workstation
def test_a_picture_has_one_answer_everywhere(pictures: dict[str, Path], tmp_path: Path) -> None:
    """A bundle made from folders of PNGs is published, fetched over HTTP and proven; edgekit.load and the device agree on every picture."""
    bundle, repository, keys = tmp_path / "bundle", tmp_path / "releases", tmp_path / "keys"
    (tmp_path / "contract.toml").write_text(CONTRACT)
    data = ("--calibration", pictures["calibration"], "--evaluation", pictures["evaluation"], "--processing", tmp_path / "contract.toml")
    run(*EDGEKIT, "convert", EXAMPLE / "digits.onnx", "-o", bundle, "--to", "onnx", "--name", "digits", *data)
    run(*EDGEKIT, "keys", "new", keys)
    run(*EDGEKIT, "release", "publish", bundle, "--version", "1.0.0", "--to", repository, "--keys", keys)
    with serving_files(repository) as url:
        trust = ("--trust-root", repository / "metadata" / "1.root.json")
        told = json.loads(run(*AGENT, "install", "--from", url, "digits@1.0.0", "--state", tmp_path / "device", *trust, "--json"))
    assert "golden raw items become what was recorded" in told["raw_proof"]
    (tmp_path / "agent.toml").write_text(f'state = "{tmp_path}/device"\n[api]\nhttp = "127.0.0.1:0"\n')
    files = sorted(pictures["evaluation"].glob("*/*.png"))[::3]
    with agent("run", "--config", tmp_path / "agent.toml") as address, edgekit.load(bundle, variant=told["variant"]) as model:
        answers = [model(file) for file in files]
        for file, answer in zip(files, answers, strict=True):
            assert_equal(ask(address, "digits", file.read_bytes(), "image/png"), answer)
    right = [answer.labels is not None and answer.labels[0] == file.parent.name for file, answer in zip(files, answers, strict=True)]
    assert np.mean(right) > 0.9


@pytest.mark.parametrize(
    ("kind", "media"), [("boxes", "image/png"), ("mask", "image/png"), ("audio", "audio/wav"), ("text", "text/plain"), ("series", "text/csv")]
)
def test_every_kind_of_item_has_one_answer(make_contract_bundle, kits, kind: str, media: str) -> None:
    """Boxes, masks, sounds, texts and tables: the agent's process and edgekit.load say the same of each."""
    bundle = make_contract_bundle(kind)
    with agent("serve", bundle, "--http", "127.0.0.1:0") as address, edgekit.load(bundle) as model:
        for item in kits(kind).items:
            assert_equal(ask(address, kind, item.encode() if isinstance(item, str) else item, media), model(item))
