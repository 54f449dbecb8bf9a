"""The package of plug-ins, found by its metadata as an installed package is, in every process that edgekit starts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tomllib

from edgekit.bundles import open_bundle

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the package is on the import path with the metadata that pip would write."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    metadata = site / f"edgekit_scorecard-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = (f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in found.items()) for group, found in project["entry-points"].items())
    (metadata / "entry_points.txt").write_text("\n".join(groups))
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(PLUGIN / "src")])}


def test_its_own_tests_pass(installed: dict[str, str], tmp_path: Path) -> None:
    """The contract test that the package brings passes as it stands."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(PLUGIN / "tests")]
    done = subprocess.run(command, env=installed, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_readme_works(installed: dict[str, str], tmp_path: Path) -> None:
    """What the page says to type makes a bundle of a linear model, with a variant of the package's own target."""
    (block,) = re.findall(r"^```sh\n(.*?)^```", (PLUGIN / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    _, make, convert = block.splitlines()
    commands = [make.replace("python", sys.executable, 1), convert.replace("edgekit", f"{sys.executable} -m edgekit", 1)]
    subprocess.run(["sh", "-ec", "\n".join(commands)], env=installed, cwd=tmp_path, check=True, capture_output=True)
    manifest = open_bundle(tmp_path / "iris-bundle").manifest
    assert {variant.id for variant in manifest.variants} == {"onnx-fp32", "plain-fp32"}
    assert manifest.lineage.source_format == "scorecard"
    assert manifest.lineage.tools["edgekit-scorecard"] == "1.0.0"


def test_its_pass_is_named_in_the_lineage(installed: dict[str, str], tmp_path: Path) -> None:
    """A model with Dropout loses it, and the lineage says by which pass."""
    from onnx import TensorProto, helper

    borders = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("x", "y")]
    nodes = [helper.make_node("Dropout", ["x"], ["d"]), helper.make_node("MatMul", ["d", "w"], ["y"])]
    weights = [helper.make_tensor("w", TensorProto.FLOAT, [4, 4], np.eye(4).ravel())]
    graph = helper.make_graph(nodes, "graph", borders[:1], borders[1:], weights)
    (tmp_path / "net.onnx").write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())
    command = [sys.executable, "-m", "edgekit", "convert", "net.onnx", "-o", "bundle", "--to", "plain"]
    subprocess.run(command, env=installed, cwd=tmp_path, check=True, capture_output=True)
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert manifest.lineage.tools["passes"].split(", ")[-1] == "drop-dropouts"
    assert b"Dropout" not in (tmp_path / "bundle" / manifest.variants[0].files[0].path).read_bytes()
