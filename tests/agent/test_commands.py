"""The program edgekit-agent: what it prints, what it exits with, and how it stops."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from edgekit.deployment import Deployment, State
from edgekit.files import digest_bytes
from edgekit_agent.config import STATE_VARIABLE
from edgekit_agent.ledger import Ledger


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "edgekit_agent", *map(str, arguments)]


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), check=False, capture_output=True, text=True, timeout=60, env=os.environ | environment)


@contextmanager
def running(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that serves, and the first line that it printed."""
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def fetch(address: str, path: str) -> dict:
    with urllib.request.urlopen(f"{address}{path}", timeout=10) as answer:
        return json.load(answer)


def stop(process: subprocess.Popen[str], number: int) -> tuple[int, str, str]:
    process.send_signal(number)
    rest, log = process.communicate(timeout=30)
    return process.returncode, rest, log


@pytest.fixture
def installed(tmp_path, publisher, make_bundle) -> Path:
    """A state directory in which digits@1.0.0 was installed, as JSON says, and digits@2.0.0 was not."""
    publisher.publish(make_bundle("one", seed=1), "1.0.0")
    done = run("install", "--from", publisher.repository, "digits@1.0.0", "--state", tmp_path / "state", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["release"], told["variant"], told["changed"], told["parity"]["n"]) == ("digits@1.0.0", "onnx-fp32", True, 32)
    assert "its first root is sha256:" in done.stderr
    return tmp_path / "state"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_bundle_is_served_until_a_signal_stops_it(make_bundle, number):
    """One line names address, model, variant and runtime; a signal ends the process with 0 and without a traceback."""
    with running("serve", make_bundle(), "--http", "127.0.0.1:0") as (process, line):
        address, _, told = line.partition(" serves ")
        assert told.startswith("digits ")
        assert ": onnx-fp32 on onnxruntime " in told
        assert fetch(address, "/v2/health/ready")["ready"]
        code, rest, log = stop(process, number)
    assert (code, rest) == (0, "")
    assert "Traceback" not in log


def test_json_is_one_line_for_programs(make_bundle):
    """--json prints the address and every model on one line."""
    with running("serve", make_bundle(), "--http", "127.0.0.1:0", "--json") as (_, line):
        told = json.loads(line)
        assert fetch(told["address"], "/v2/models/digits")["parameters"]["variant"] == told["models"][0]["variant"] == "onnx-fp32"


def test_an_installed_release_is_run(installed, tmp_path):
    """What install put into the slot is served, from the configuration's state."""
    config = tmp_path / "agent.toml"
    config.write_text(f'state = "{installed}"\n[api]\nhttp = "127.0.0.1:0"\n')
    with running("run", "--config", config) as (process, line):
        address = line.partition(" serves ")[0]
        assert fetch(address, "/v2/models/digits")["versions"] == ["1.0.0"]
        assert stop(process, signal.SIGTERM)[0] == 0


def test_status_shows_slots_and_device(installed):
    """It names what is active and what this device is, for people and for programs; the environment may say where."""
    told = json.loads(run("status", "--json", **{STATE_VARIABLE: str(installed)}).stdout)
    assert told["models"]["digits"]["active"]["release"] == "digits@1.0.0"
    assert "onnxruntime" in [runtime["name"] for runtime in told["inventory"]["runtimes"]]
    shown = run("status", "--state", installed).stdout
    assert "digits@1.0.0 (onnx-fp32)" in shown
    assert "nothing is installed" in run("status", "--state", installed / "none").stdout


def test_status_says_where_a_deployment_stands_and_why(tmp_path):
    """For each model that the fleet asked for: one sentence with the state and its reason, and the record as JSON."""
    failed = Deployment(id="d1", model="digits", release="digits@2.0.0", digest=digest_bytes(b""), counter=1, state=State.FAILED, reason="no room")
    Ledger(tmp_path).write_deployment(failed)
    assert "digits: digits@2.0.0 was not installed: no room. (deployment d1)" in run("status", "--state", tmp_path).stdout
    told = json.loads(run("status", "--json", "--state", tmp_path).stdout)["deployments"]["digits"]
    assert (told["state"], told["reason"], told["id"]) == ("failed", "no room", "d1")


def test_a_rollback_needs_a_previous_release(installed, publisher, make_bundle):
    """It says what is active again, or exits with 2."""
    refused = run("rollback", "digits", "--state", installed)
    assert (refused.returncode, refused.stdout) == (2, "")
    publisher.publish(make_bundle("two", seed=2), "2.0.0")
    assert run("install", "--from", publisher.repository, "digits@2.0.0", "--state", installed).stdout.startswith(
        "digits@2.0.0 is installed: onnx-fp32"
    )
    assert run("rollback", "digits", "--state", installed).stdout == "digits@1.0.0 is active again: onnx-fp32\n"


def test_refusals_have_the_exit_code_of_who_must_act(tmp_path, make_bundle, publisher):
    """Wrong input 2, betrayed by golden samples 3, changed bytes 4, unreachable 5: one paragraph, no traceback, nothing on stdout."""
    good, betrayed, changed = make_bundle(), make_bundle("betrayed", betrayed=True), make_bundle("changed")
    golden = (changed / "golden.npz").read_bytes()
    (changed / "golden.npz").write_bytes(golden[:-1] + bytes([golden[-1] ^ 1]))
    publisher.publish(good, "1.0.0")
    install = ("install", "digits@1.0.0", "--state", tmp_path / "state", "--from")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cases = [
            (2, ("serve", tmp_path / "none"), "not a bundle"),
            (2, ("serve", good, "--http", "0.0.0.0:8080"), "not a loopback address"),
            (2, ("serve", good, "--http", f"127.0.0.1:{port}"), f"port {port} is in use"),
            (2, ("serve", good, "--variant", "onnx-int4"), "onnx-int4"),
            (2, ("run", "--config", tmp_path / "none.toml"), "cannot be read"),
            (2, ("install", "digits@1.0.0"), "--from"),
            (2, ("install", "digits", "--from", publisher.repository, "--state", tmp_path / "state"), "name@x.y.z"),
            (3, ("serve", betrayed), "golden samples"),
            (4, ("serve", changed), "the bytes have changed"),
            (4, (*install, "http://127.0.0.1:9/"), "--trust-root FILE"),
            (5, (*install, "http://127.0.0.1:9/", "--trust-root", publisher.repository / "metadata" / "1.root.json"), "127.0.0.1:9"),
        ]
        for code, arguments, problem in cases:
            refused = run(*arguments)
            assert (refused.returncode, refused.stdout) == (code, ""), (arguments, refused.stderr)
            assert problem in refused.stderr
            assert "Traceback" not in refused.stderr


def test_a_betrayed_release_is_refused_with_3(installed, publisher, make_bundle):
    """A release that its golden samples betray exits with 3, mentions --variant, and the slot stays."""
    publisher.publish(make_bundle("two", seed=2, betrayed=True), "2.0.0")
    before = (installed / "models" / "digits" / "slots.json").read_bytes()
    refused = run("install", "--from", publisher.repository, "digits@2.0.0", "--state", installed)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "--variant" in refused.stderr
    assert (installed / "models" / "digits" / "slots.json").read_bytes() == before


def test_help_and_the_agent_load_no_framework():
    """Neither --help nor the composition root imports a model framework."""
    code = (
        "import sys, edgekit_agent.agent, edgekit_agent.commands\n"
        "heavy = {'onnxruntime', 'ai_edge_litert', 'openvino', 'tflite_runtime', 'onnx', 'torch', 'tensorflow'} & set(sys.modules)\n"
        "heavy |= {'PIL', 'cv2', 'soundfile', 'soxr', 'tokenizers', 'edgekit.processing.pipeline', 'edgekit.golden_raw'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60).stdout == b"[]\n"
    shown = run("--help")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in ("serve", "install", "run", "status", "rollback"))


def test_the_agents_commands_are_edgekits_too():
    """The command line of edgekit has the agent's commands under agent."""
    program = [sys.executable, "-c", "from edgekit.cli.main import main; main()", "agent", "serve", "--help"]
    assert "--http HOST:PORT" in subprocess.run(program, check=True, capture_output=True, text=True, timeout=60).stdout


def test_a_stranger_cannot_fill_the_log(make_contract_bundle):
    """Damaged pictures are refused with 400, and nothing of them is left in the agent's log."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30)).save(buffer, "TIFF")
    # The offset of the first directory, and what lies there, a field at a time.
    pictures = [buffer.getvalue()[:-2], *(spoil(buffer.getvalue(), place) for place in range(8, 120, 4))]
    with running("serve", make_contract_bundle("image"), "--http", "127.0.0.1:0") as (process, line):
        address = line.partition(" serves ")[0]
        statuses = {post(f"{address}/v2/models/image/infer", picture) for picture in pictures}
        code, _, log = stop(process, signal.SIGTERM)
    assert code == 0
    assert 400 in statuses <= {200, 400}
    assert len(log.splitlines()) == 1, log


def spoil(data: bytes, place: int) -> bytes:
    return data[:place] + b"\xff\x7f\xff\x7f" + data[place + 4 :]


def post(url: str, body: bytes) -> int:
    request = urllib.request.Request(url, body, {"Content-Type": "image/tiff"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
