"""PyTorch sources: programs and factories become ONNX with torch's own answers, and no file brings code that runs."""

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.conversion import SourceModel, SourceOptions
from edgekit.errors import DeviceError, InputError
from edgekit.reference import check_witness, open_source
from edgekit.tensors import TensorSpec
from edgekit_converters.torch_source import TorchSource

IMAGE = TensorSpec(name="image", dtype="float32", shape=("batch", 3, 8, 8))
GREY = TensorSpec(name="image", dtype="float32", shape=("batch", 1, 8, 8))
FASHION = Path(__file__).parents[2].parent / "shared" / "models" / "fashion-mnist"

NETWORKS = """
import torch

class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)
        self.dense = torch.nn.Linear(4, 5)

    def forward(self, image):
        return self.dense(self.norm(self.conv(image)).relu().mean((2, 3)))

def network():
    torch.manual_seed(0)
    return Network()
"""


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of networks in the working directory."""
    (tmp_path / "networks.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    return "networks"


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., SourceModel]:
    """What the source makes of a path, with options."""

    def load_source(path: str | Path, **options: Any) -> SourceModel:
        workspace = tmp_path / "workspace"
        workspace.mkdir(exist_ok=True)
        return TorchSource().load(Path(path), workspace, SourceOptions(**options))

    return load_source


@pytest.fixture
def program(tmp_path: Path, networks: str) -> Path:
    """A network as torch.export.save writes it, with the batch free to vary."""
    torch = pytest.importorskip("torch")
    namespace: dict[str, Any] = {"__name__": networks}
    exec(NETWORKS, namespace)
    shapes = {"image": {0: torch.export.Dim("batch")}}
    exported = torch.export.export(namespace["network"]().eval(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=shapes)
    torch.export.save(exported, tmp_path / "network.pt2")
    return tmp_path / "network.pt2"


def test_names_of_factories_are_accepted(tmp_path) -> None:
    """A dotted module and a function, with a colon between, are a factory where there is no file of that name."""
    accepts = TorchSource().accepts
    assert accepts(Path("package.module:factory"))
    assert not accepts(Path("package.module"))
    assert not accepts(tmp_path / "module:factory")
    assert not accepts(Path("C:\\model"))


@pytest.mark.parametrize(("name", "accepted"), [("model.pt2", True), ("MODEL.PT2", True), ("model.pt", False)])
def test_programs_are_accepted_by_their_suffix(name, accepted, tmp_path) -> None:
    """A file called .pt2 is this source's to read or refuse; a pickle is nobody's."""
    (tmp_path / name).write_bytes(pickle.dumps(1))
    assert TorchSource().accepts(tmp_path / name) is accepted


def test_without_torch_it_says_how_to_get_it(load, monkeypatch) -> None:
    """On a machine without torch a factory is refused with the command that installs it."""
    monkeypatch.setattr("edgekit_converters.torch_exporting.find_package_version", lambda _: None)
    with pytest.raises(DeviceError, match=r"no torch.*edgekit\[torch\]"):
        load("networks:network", inputs=(IMAGE,))


def test_inputs_of_a_program_are_its_own(load, tmp_path) -> None:
    """A program knows its inputs, so --input is refused for one."""
    (tmp_path / "model.pt2").write_bytes(b"")
    with pytest.raises(InputError, match="--input"):
        load(tmp_path / "model.pt2", inputs=(IMAGE,))


@pytest.mark.heavy
@pytest.mark.torch
def test_factories_become_onnx_with_witnesses(networks, load) -> None:
    """A factory's model takes the inputs described, for any batch, and ONNX gives torch's own answers."""
    source = load(f"{networks}:network", inputs=(IMAGE,))
    assert (source.format, source.suggested, source.samples) == ("torch", (), None)
    assert [str(spec) for spec in (*source.inputs, *source.outputs)] == ["image: float32[batch, 3, 8, 8]", "output0: float32[batch, 5]"]
    assert [path.name for path in source.files] == ["networks.py"]
    assert set(source.forms) == {"onnx", "torch"}
    assert source.witness is not None
    with open_source(source) as session:
        check_witness(source, session)
        for count in (1, 3):
            answers = session.infer({"image": source.witness.inputs["image"][:count]})
            np.testing.assert_allclose(answers["output0"], source.witness.outputs["output0"][:count], atol=1e-5)


@pytest.mark.heavy
@pytest.mark.torch
@pytest.mark.parametrize(
    ("factory", "options", "told"),
    [
        ("networks:nothing", {"inputs": (IMAGE,)}, "has no 'nothing'.*Functions that it has: network"),
        ("nowhere:network", {"inputs": (IMAGE,)}, "no module 'nowhere'"),
        ("networks:network", {}, r"--input.*--example"),
        (
            "networks:network",
            {"inputs": (TensorSpec(name="image", dtype="float32", shape=("batch", 1, 8, 8)),)},
            r"cannot be run.*channels.*image: float32",
        ),
        ("networks:network", {"inputs": (IMAGE,), "shapes": {"width": (3,)}}, "'width'"),
    ],
)
def test_what_does_not_fit_is_refused(factory, options, told, networks, load) -> None:
    """A factory that is not there, or inputs that are not described or do not fit, are named with what would do."""
    with pytest.raises(InputError, match=told):
        load(factory, **options)


@pytest.mark.heavy
@pytest.mark.torch
def test_witnesses_go_with_another_layout(networks, load) -> None:
    """Where callers give another order of axes, witnesses do too, and the program, which does not take it, is no form."""
    source = load(f"{networks}:network", inputs=(IMAGE,), layouts={"image": ("NCHW", "NHWC")})
    assert source.inputs[0].shape == ("batch", 8, 8, 3)
    assert "torch" in source.absent
    assert "torch" not in source.forms
    assert source.witness is not None
    assert source.witness.inputs["image"].shape[1:] == (8, 8, 3)
    with open_source(source) as session:
        check_witness(source, session)


@pytest.mark.heavy
@pytest.mark.torch
def test_numbers_that_another_dtype_cannot_hold_are_no_witnesses(networks, load) -> None:
    """Bytes of a camera cannot hold the fractions that torch was asked with, so there is no witness."""
    source = load(f"{networks}:network", inputs=(IMAGE,), dtypes={"image": "uint8"})
    assert source.inputs[0].dtype == "uint8"
    assert source.witness is None


@pytest.mark.heavy
@pytest.mark.torch
def test_programs_become_onnx_with_witnesses(program, load) -> None:
    """A saved program keeps its input's name, its batch may vary, and its sizes can be fixed."""
    source = load(program)
    assert str(source.inputs[0]) == "image: float32[batch, 3, 8, 8]"
    assert source.files == (program,)
    with open_source(source) as session:
        check_witness(source, session)
    assert load(program, shapes={"batch": (2,)}).inputs[0].shape == (2, 3, 8, 8)


class Canary:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


def replace_members(path: Path, changes: dict[str, bytes]) -> None:
    """Write other bytes for the members of the archive at *path* that *changes* names."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, changes.get(name.partition("/")[2], data))


@pytest.mark.heavy
@pytest.mark.torch
def test_pickles_in_a_program_are_not_run(program, load, tmp_path) -> None:
    """Sample inputs that run code when torch reads them do nothing here: the program is read without them."""
    torch = pytest.importorskip("torch")
    canary = tmp_path / "canary"
    replace_members(program, {"data/sample_inputs/model.pt": pickle.dumps(Canary(canary))})
    with pytest.raises(RuntimeError, match="deserializing"):
        torch.export.load(program)
    assert canary.is_dir(), "torch itself would not run it, so this proves nothing"
    canary.rmdir()
    assert load(program).inputs[0].name == "image"
    assert not canary.exists()


@pytest.mark.heavy
@pytest.mark.torch
def test_calls_in_a_program_are_not_run(program, load, tmp_path) -> None:
    """A graph that calls a function of Python's own is refused, and the function is not called."""
    with zipfile.ZipFile(program) as archive:
        graph = json.loads(archive.read("network/models/model.json"))
    call = graph["graph_module"]["graph"]["nodes"][0]
    call["target"] = "torch.os.mkdir"
    call["inputs"] = [{"name": "path", "arg": {"as_string": str(tmp_path / "canary")}, "kind": 1}]
    replace_members(program, {"models/model.json": json.dumps(graph).encode()})
    with pytest.raises(InputError, match=r"torch\.os\.mkdir"):
        load(program)
    assert not (tmp_path / "canary").exists()


@pytest.mark.heavy
@pytest.mark.torch
def test_state_dict_comes_in_by_a_factory(load, tmp_path, monkeypatch) -> None:
    """Fashion-MNIST's state dict, loaded by a factory, is right on 907 of 1,000 pictures, as it was published."""
    if not FASHION.is_dir():
        pytest.skip(f"the models for tests are not here: {FASHION}")
    monkeypatch.syspath_prepend(str(FASHION))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fashion.py").write_text(
        "import torch\nfrom fm_model import FashionCNN\n\n"
        "def model():\n    made = FashionCNN()\n"
        f"    made.load_state_dict(torch.load({str(FASHION / 'fashion_cnn.pt')!r}, weights_only=True))\n    return made\n"
    )
    source = load("fashion:model", inputs=(TensorSpec(name="x", dtype="float32", shape=("batch", 1, 28, 28)),))
    with np.load(FASHION / "fashion_5000train_1000test.npz") as data:
        images, labels = ((data["x_test"] / 255 - 0.286) / 0.353).astype(np.float32)[:, None], data["y_test"]
    with open_source(source) as session:
        answers = session.infer({"x": images})["output0"]
    assert np.mean(answers.argmax(axis=1) == labels) == pytest.approx(0.907, abs=0.002)
