"""The main job on a small real model, told step by step: from a trained network to a fleet that updates itself, and refuses to get worse.

    make demo
    KEEP=1 make demo    # leaves the fleet and its dashboard running, and says where

Only public commands are used: what is printed after a dollar sign can be typed. Everything lies in .demo/.
"""

import json
import os
import shutil
import socket
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from load import Load, describe, loading
from stage import Child, Stage, Stopped, refuse_kept, run, tell, wait_until

from edgekit import FleetClient
from edgekit.fleet.views import FleetActivity
from edgekit.quantities import format_ms

HERE = Path(os.path.relpath(Path(__file__).parent))
PLACE = Path(".demo")
LOGS = PLACE / "logs"
RATE = 40
#: How long to wait for what should take a second: a disk that is still busy with an installation holds everybody up, and an agent
#: sends again what was not answered in half a minute.
PATIENCE_S = 120
#: The largest time that the API takes, in milliseconds.
EVER = 1 << 53
#: A trial that suits a story: it has seen enough after a second and 60 requests.
TRIAL = ("--min-requests", "60", "--min-s", "1", "--max-s", "20")
PHASES = ("--phases", "1,100%")
CONFIG = """state = "{state}"

[device]
id = "{id}"
labels = {{site = "{site}"}}
runtimes = ["{runtime}"]
{declared}
[api]
http = "127.0.0.1:{port}"

[releases]
from = "{releases}"
trust_root = "{trust_root}"

[fleet]
broker = "{mqtt}"
shards = {shards}

[telemetry]
interval_s = 1
"""


@dataclass(frozen=True)
class Device:
    """One agent of the story: the one runtime that it has, and where its API is."""

    id: str
    site: str
    runtime: str
    port: int
    is_declared: bool = False


@dataclass
class Scene:
    """What the later steps of the story need of the earlier ones."""

    client: FleetClient
    fleet: Child
    devices: list[Device]
    agents: list[Child]


def main() -> None:
    """Tell the story."""
    start = time.monotonic()
    refuse_kept(LOGS)
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    os.environ["EDGEKIT_KEYS"] = str(PLACE / "keys")
    with Stage(LOGS) as stage:
        publish_first()
        client, fleet, running = start_fleet(stage)
        devices, agents = start_agents(stage, running)
        with client:
            scene = Scene(client, fleet, devices, agents)
            join_fleet(scene)
            addresses = {device.id: ("127.0.0.1", device.port) for device in devices}
            with loading(addresses, RATE) as load:
                watch_telemetry(scene, load)
                roll_out_better(scene, load)
                roll_out_permuted(scene, load)
                roll_out_poisoned(scene, load)
            finish(scene, load, start)
        if os.environ.get("KEEP"):
            keep(stage, running, devices)


def publish_first() -> None:
    tell("1. A trained network becomes variants, each proven against it and measured; the bundle becomes a signed release.")
    convert("bundle-1.0.0", HERE / "calibration.npz")
    run("edgekit", "keys", "new", quiet=True)
    publish("bundle-1.0.0", "1.0.0")


def convert(name: str, calibration: Path, *, quiet: bool = False) -> None:
    data = ["--calibration", calibration, "--evaluation", HERE / "evaluation.npz"]
    run("edgekit", "convert", HERE / "digits.onnx", "-o", PLACE / name, *data, "--max-drop", "0.01", quiet=quiet)


def publish(name: str, version: str) -> None:
    run("edgekit", "release", "publish", PLACE / name, "--version", version, "--to", PLACE / "releases", quiet=True)


def start_fleet(stage: Stage) -> tuple[FleetClient, Child, dict[str, Any]]:
    tell("2. A server: broker, store, API with the releases, and a dashboard.")
    run("edgekit", "fleet", "init", PLACE / "fleet", "--releases", PLACE / "releases")
    fleet = stage.start("fleet", "edgekit", "fleet", "up", PLACE / "fleet", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--json")
    running = json.loads(fleet.out.read_text())
    os.environ["EDGEKIT_FLEET"] = running["http"]
    print(f"the dashboard is at {running['http']}/")
    return FleetClient(running["http"]), fleet, running


def start_agents(stage: Stage, running: dict[str, Any]) -> tuple[list[Device], list[Child]]:
    tell("3. Three devices join it, each with one runtime only; the third declares a GPU host's hardware, and is labelled simulated.")
    ports = find_free_ports(3)
    devices = [
        Device("roof-1", "roof", "litert", ports[0]),
        Device("gate-2", "gate", "onnxruntime", ports[1]),
        Device("cellar-3", "cellar", "openvino", ports[2], is_declared=True),
    ]
    agents = []
    for device in devices:
        path = PLACE / f"{device.id}.toml"
        path.write_text(configure(device, running))
        agents.append(stage.start(device.id, "edgekit-agent", "run", "--config", path, "--json"))
    return devices, agents


def configure(device: Device, running: dict[str, Any]) -> str:
    declared = f'inventory = "{HERE}/gpu-host"\nsimulated = true\n' if device.is_declared else ""
    about = {name: running[name] for name in ("releases", "mqtt", "shards")}
    root = PLACE / "releases/metadata/1.root.json"
    return CONFIG.format(
        state=PLACE / device.id, id=device.id, site=device.site, runtime=device.runtime, declared=declared, port=device.port, trust_root=root, **about
    )


def find_free_ports(count: int) -> list[int]:
    """Ports that nobody uses just now: they are held all at once, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def join_fleet(scene: Scene) -> None:
    wait_until(lambda: len(find_known(scene)) == len(scene.devices), PATIENCE_S, "not every device became known")
    # Nobody asks them anything yet, so this trial needs no requests: the golden samples decide.
    run("edgekit", "rollout", "start", "digits@1.0.0", "--phases", "100%", "--min-requests", "0", "--min-s", "0", "--yes", "--watch")
    run("edgekit", "device", "list")


def find_known(scene: Scene) -> list[str]:
    return [one.device.id for one in scene.client.list_devices() if one.status is not None and one.device.inventory_digest is not None]


def watch_telemetry(scene: Scene, load: Load) -> None:
    tell(f"4. Each is asked for real digits, {RATE} a second, and every answer is held against the digit's label.")
    if not load.wait_for(4 * RATE, PATIENCE_S):
        raise Stopped("; ".join(f"{name}: {describe(tally)}" for name, tally in load.tallies.items()))
    wait_until(lambda: len(scene.client.read_activity().models) == len(scene.devices), PATIENCE_S, "telemetry does not arrive")
    show_activity(scene.client.read_activity())
    for name, tally in load.tallies.items():
        print(f"  asked     {name:9} {describe(tally)}")


def show_activity(activity: FleetActivity) -> None:
    for one in activity.models:
        figures = f"{one.per_second or 0:5.1f}/s  p50 {format_ms(one.p50_ms)}, p95 {format_ms(one.p95_ms)}, p99 {format_ms(one.p99_ms)}"
        print(f"  telemetry {one.device:9} {figures}  {one.failed} failed  {one.release}, {one.variant} in {one.runtime}")


def roll_out_better(scene: Scene, load: Load) -> None:
    tell("5. Release 1.1.0, calibrated with other digits, goes to one device, and to all when it has done well there.")
    images = np.load(HERE / "calibration.npz")["image"]
    np.savez_compressed(PLACE / "calibration-1.1.0.npz", image=images[len(images) // 2 :])
    convert("bundle-1.1.0", PLACE / "calibration-1.1.0.npz", quiet=True)
    publish("bundle-1.1.0", "1.1.0")
    roll_out("1.1.0")
    check_serving(scene, load, "1.1.0")


def roll_out_permuted(scene: Scene, load: Load) -> None:
    tell("   Release 1.2.0 is signed like any other, and its weights are permuted. One device finds out before it goes live.")
    publish_tampered("permute", "1.2.0")
    roll_out("1.2.0", fails=3)
    check_serving(scene, load, "1.1.0")


def roll_out_poisoned(scene: Scene, load: Load) -> None:
    tell("   Release 1.3.0 is right on its golden samples, and gives NaN on some real digits. One device finds out on trial.")
    publish_tampered("poison", "1.3.0")
    roll_out("1.3.0", fails=3)
    check_serving(scene, load, "1.1.0")
    print("  what the new release answered with NaN, the previous one, still loaded behind it, answered in its place")


def publish_tampered(kind: str, version: str) -> None:
    run("python", HERE / "tamper.py", kind, PLACE / "bundle-1.1.0", "-o", PLACE / f"bundle-{version}")
    publish(f"bundle-{version}", version)


def roll_out(version: str, fails: int = 0) -> None:
    run("edgekit", "rollout", "start", f"digits@{version}", *PHASES, *TRIAL, "--yes", "--watch", fails=fails)


def check_serving(scene: Scene, load: Load, version: str) -> None:
    """Stopped unless every device ends up serving *version*, and no request has failed."""
    wanted = f"digits@{version}"
    wait_until(lambda: set(find_releases(scene).values()) == {wanted}, PATIENCE_S, f"not every device serves {wanted}")
    failed = sum(tally.failed for tally in load.tallies.values())
    if failed:
        raise Stopped("; ".join(f"{name}: {describe(tally)}" for name, tally in load.tallies.items()))
    print(f"  {sum(tally.answered for tally in load.tallies.values())} requests answered so far, {failed} failed; every device serves {wanted}")


def find_releases(scene: Scene) -> dict[str, str | None]:
    summaries = scene.client.list_devices()
    return {one.device.id: next((model.release for model in one.status.models), None) for one in summaries if one.status is not None}


def sum_telemetry(scene: Scene, device: str = "") -> Counter[str]:
    """What the server has of the whole story, or of one device in it: all that there is, in one step."""
    steps = scene.client.list_telemetry(device=device, since=0, until=EVER, step=EVER)
    return Counter({name: sum(getattr(step, name) for step in steps) for name in ("requests", "failed", "rescued", "refused")})


def describe_missing(scene: Scene, load: Load) -> str:
    """What telemetry knows of each device, beside what the load has sent, and the books of its records."""
    known = {name: sum_telemetry(scene, name)["requests"] for name in load.tallies}
    books = [f"{one.device}: {one.made} records made, {one.stored} stored, {one.lost} lost" for one in scene.client.audit()]
    counts = [f"{name}: {known[name]} of {tally.sent} requests are told" for name, tally in load.tallies.items()]
    return "\n  ".join(["telemetry does not know of every request", *counts, *books])


def finish(scene: Scene, load: Load, start: float) -> None:
    """The figures of the whole story."""
    tell("6. The figures")
    tallies = load.tallies.values()
    sent, right = sum(tally.sent for tally in tallies), sum(tally.right for tally in tallies)
    wait_until(lambda: sum_telemetry(scene)["requests"] >= sent, PATIENCE_S, lambda: describe_missing(scene, load))
    told = sum_telemetry(scene)
    audit = json.loads(run("edgekit", "fleet", "audit", "--wait", str(PATIENCE_S), "--json", quiet=True))
    versions = Counter(find_releases(scene).values())
    failed = sum(tally.failed for tally in tallies)
    print(f"  requests served      {sent}, {right / sent:.1%} of them with the right digit")
    print(f"  failed               {failed} because of an update, or of anything else")
    print(f"  told by telemetry    {told['requests']} requests, {told['failed']} wrong answers caught, {told['rescued']} of them rescued")
    print(f"  telemetry records    {audit['made']} made, {audit['stored']} stored, {audit['lost']} lost")
    print(f"  devices              {', '.join(f'{count} serve {release}' for release, count in versions.items())}")
    show_savings(scene)
    print(
        f"  memory               server {scene.fleet.memory_mb:.0f} MiB, agents {', '.join(f'{agent.memory_mb:.0f}' for agent in scene.agents)} MiB"
    )
    print(f"  the story took       {time.monotonic() - start:.0f} s")
    if failed or audit["made"] != audit["stored"]:
        raise Stopped("a request failed, or a record is missing")


def show_savings(scene: Scene) -> None:
    """What each device's variant saves against the float model, by this machine's measurement."""
    manifest = json.loads((PLACE / "bundle-1.1.0" / "manifest.json").read_text())
    variants = {variant["id"]: variant for variant in manifest["variants"]}
    source = variants["onnx-fp32"]
    serving = {one.device.id: one.status.models[0].variant for one in scene.client.list_devices() if one.status is not None}
    for device, name in serving.items():
        size = find_size(source) / find_size(variants[name])
        speed = find_latency(source) / find_latency(variants[name])
        print(f"  {device:20} {name}: {size:.1f}x smaller than the float model, {speed:.1f}x as fast")


def find_size(variant: dict[str, Any]) -> int:
    return sum(entry["length"] for entry in variant["files"])


def find_latency(variant: dict[str, Any]) -> float:
    return float(variant["measured"][0]["latency_ms"]["p50"])


def keep(stage: Stage, running: dict[str, Any], devices: list[Device]) -> None:
    """Leave everything running, with a little to do."""
    agents = [f"{device.id}=127.0.0.1:{device.port}" for device in devices]
    stage.start("load", "python", HERE / "load.py", *agents, "--rate", "5", "--seconds", "86400")
    print(f"\nThe fleet goes on, and its dashboard is at {running['http']}/")
    print(f"Commands reach it with: export EDGEKIT_FLEET={running['http']}")
    print(f"End it with: {stage.keep()}")


if __name__ == "__main__":
    main()
