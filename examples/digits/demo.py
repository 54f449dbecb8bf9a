"""The main job on a small real model: from a trained network to a device that serves it, told step by step.

    make demo

Only public commands are used: what is printed after a dollar sign can be typed. Everything lies in .demo/.
"""

import http.client
import json
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(os.path.relpath(Path(__file__).parent))
PLACE = Path(".demo")
ADDRESS = ("127.0.0.1", 8451)
CONFIG = f"""state = "{PLACE}/device"

[api]
http = "{ADDRESS[0]}:{ADDRESS[1]}"

[releases]
from = "{PLACE}/releases"

[[models]]
release = "digits@1.0.0"
"""


def tell(text: str) -> None:
    """One step of the story."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def run(*words: str | Path, fails: int = 0, quiet: bool = False) -> str:
    """Run a command of edgekit, showing it and what it prints; *fails* is the exit code that the story expects."""
    program = Path(sys.executable).with_name(str(words[0]))
    print(f"$ {shlex.join(map(str, words))}", flush=True)
    done = subprocess.run([program, *map(str, words[1:])], stdout=subprocess.PIPE, text=True, check=False)
    if not quiet:
        print(done.stdout, end="", flush=True)
    if done.returncode != fails:
        sys.exit(f"the demo stops here: {words[0]} ended with exit code {done.returncode}, and {fails} was expected")
    return done.stdout


@contextmanager
def running_agent() -> Iterator[subprocess.Popen[bytes]]:
    """The agent, from the moment that it answers, until it was asked to stop and did."""
    (PLACE / "agent.toml").write_text(CONFIG)
    print(f"$ edgekit-agent run --config {PLACE}/agent.toml &", flush=True)
    agent = subprocess.Popen([Path(sys.executable).with_name("edgekit-agent"), "run", "--config", PLACE / "agent.toml"])
    try:
        wait_until_ready(agent, time.monotonic() + 60)
        yield agent
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait(20)


def wait_until_ready(agent: subprocess.Popen[bytes], deadline: float) -> None:
    """Ask until the agent says that it serves the model."""
    while time.monotonic() < deadline:
        if agent.poll() is not None:
            sys.exit("the demo stops here: the agent ended")
        try:
            if ask("GET", "/v2/models/digits/ready")[0] == 200:
                return
        except ConnectionError:
            time.sleep(0.05)
    sys.exit("the demo stops here: the agent does not answer")


def ask(method: str, path: str, body: bytes | None = None, connection: http.client.HTTPConnection | None = None) -> tuple[int, Any]:
    """One request to the agent: its status and its answer."""
    line = connection or http.client.HTTPConnection(*ADDRESS, timeout=10)
    try:
        line.request(method, path, body, {"Content-Type": "application/json"})
        response = line.getresponse()
        data = response.read()
        return response.status, json.loads(data) if data else None
    finally:
        if connection is None:
            line.close()


def classify_digits(images: np.ndarray) -> tuple[list[int], list[float]]:
    """The digit that the agent sees in each image, and the milliseconds that each answer took."""
    found, times = [], []
    connection = http.client.HTTPConnection(*ADDRESS, timeout=10)
    for image in images:
        tensor = {"name": "image", "datatype": "FP32", "shape": [1, *image.shape], "data": image.ravel().tolist()}
        start = time.perf_counter()
        status, answer = ask("POST", "/v2/models/digits/infer", json.dumps({"inputs": [tensor]}).encode(), connection)
        times.append((time.perf_counter() - start) * 1e3)
        if status != 200:
            sys.exit(f"the demo stops here: the agent answered {status}: {answer}")
        found.append(int(np.argmax(answer["outputs"][0]["data"])))
    connection.close()
    return found, times


def memory_mb(process: subprocess.Popen[bytes]) -> float:
    """The memory that a process holds, in MB (VmRSS, proc(5))."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def flip_a_byte(release: dict[str, Any]) -> Path:
    """Change one bit in a file of the published release, as a failing disk or a stranger would."""
    entry = release["manifest"]["variants"][0]["files"][0]
    blob = PLACE / "releases" / "blobs" / "sha256" / entry["digest"].removeprefix("sha256:")
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    return blob


def main() -> None:
    """Tell the story."""
    start = time.monotonic()
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    os.environ["EDGEKIT_KEYS"] = str(PLACE / "keys")

    tell("1. A trained network becomes variants, each proven against it, measured, and judged.")
    data = ["--calibration", HERE / "calibration.npz", "--evaluation", HERE / "evaluation.npz"]
    run("edgekit", "convert", HERE / "digits.onnx", "-o", PLACE / "bundle", *data, "--metric", "top1", "--max-drop", "0.01")

    tell("2. The bundle becomes a signed release.")
    run("edgekit", "keys", "new")
    run("edgekit", "release", "publish", PLACE / "bundle", "--version", "1.0.0", "--to", PLACE / "releases")

    tell("3. A device fetches the one variant that suits it, proves it with the golden samples, and installs it.")
    run("edgekit-agent", "install", "--from", PLACE / "releases", "digits@1.0.0", "--state", PLACE / "device")

    tell("4. It serves: 500 digits that the network never saw, through the Open Inference Protocol.")
    evaluation = np.load(HERE / "evaluation.npz")
    with running_agent() as agent:
        idle = memory_mb(agent)
        found, times = classify_digits(evaluation["image"])
        right = float(np.mean(np.array(found) == evaluation["labels"]))
        print(f"{len(found)} digits, {right:.1%} right, median {statistics.median(times):.2f} ms a request with JSON")

        tell("5. A release with one flipped bit is refused, and the device goes on serving.")
        run("edgekit", "release", "publish", PLACE / "bundle", "--version", "1.0.1", "--to", PLACE / "releases")
        blob = flip_a_byte(json.loads(run("edgekit", "release", "show", PLACE / "releases", "digits@1.0.1", "--json", quiet=True)))
        variant = json.loads((PLACE / "bundle" / "manifest.json").read_text())["variants"][0]["id"]
        print(f"(one bit was flipped in {blob.name[:12]}…, a file of {variant})")
        refused = ("edgekit-agent", "install", "--from", PLACE / "releases", "digits@1.0.1", "--state", PLACE / "other-device")
        run(*refused, "--variant", variant, fails=4)
        again, _ = classify_digits(evaluation["image"][:50])
        serving = memory_mb(agent)
        print(f"meanwhile: 50 more digits, {np.mean(np.array(again) == evaluation['labels'][:50]):.1%} right")

    finish(start, idle, serving, statistics.median(times), right)


def finish(start: float, idle: float, serving: float, latency: float, right: float) -> None:
    """The figures of the whole story."""
    manifest = json.loads((PLACE / "bundle" / "manifest.json").read_text())
    variants = {variant["id"]: variant for variant in manifest["variants"]}
    (default,) = manifest["defaults"].values()
    chosen, float_one = variants[default["variant"]], variants["onnx-fp32"]
    sizes = [sum(entry["length"] for entry in one["files"]) for one in (chosen, float_one)]
    speeds = [one["measured"][0]["latency_ms"]["p50"] for one in (chosen, float_one)]
    tell("The figures")
    print(f"  default here         {chosen['id']}: {default['reason']}")
    print(f"  size                 {sizes[0] / 1e3:.0f} kB, {sizes[1] / sizes[0]:.1f}x smaller than the float ONNX")
    print(f"  inference            {speeds[0] * 1e3:.0f} µs, {speeds[1] / speeds[0]:.1f}x as fast as the float ONNX")
    print(f"  a request over HTTP  {latency:.2f} ms (JSON, one client)")
    print(f"  right when served    {right:.1%} of 500 unseen digits (source: {chosen['metric']['source_value']:.1%})")
    print(f"  the agent's memory   {idle:.0f} MB ready, {serving:.0f} MB after 550 requests")
    print(f"  report               {PLACE}/bundle/report.html")
    print(f"  the story took       {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
