"""A Hugging Face model directory as a source: ``config.json`` and weights in safetensors, through transformers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekit.conversion import SourceModel, SourceOptions
from edgekit.errors import InputError
from edgekit_converters.huggingface_processing import find_processing
from edgekit_converters.huggingface_tasks import find_task
from edgekit_converters.packages import list_versions
from edgekit_converters.torch_exporting import export_source, make_request, require_packages

_CONFIG, _WEIGHTS, _INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_NOTES, _ADAPTER = (_CONFIG, "processor_config.json", "preprocessor_config.json"), "adapter_config.json"
_MAX_CONFIG_BYTES = 16 << 20
_MAX_HEADER_BYTES = 100 << 20
#: One ONNX file holds no more.
_MAX_BYTES = (2 << 30) - 1
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.msgpack", "*.h5")
_SAVE = "Save it again where it was made: model.save_pretrained(directory), which writes safetensors."
_FETCH = "Fetch the whole directory again."
_PLAIN_ATTENTION = (None, "eager", "sdpa")
#: What says how many layers there are, in transformers' own configurations.
_LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers", "decoder_layers", "depths")
#: transformers makes a dictionary of so many entries.
_CLASSES = "num_labels"
#: No size is larger than the weights, and what is no size (a frequency, a token) is no larger than this.
_ANY_NUMBER = 1 << 24


class HuggingFaceSource:
    """Reads directories that transformers' save_pretrained wrote. No code that lies in one is run."""

    format = "huggingface"

    def accepts(self, path: Path) -> bool:
        """Whether *path* is a directory with a ``config.json``."""
        return path.is_dir() and (path / _CONFIG).is_file()

    def load(self, path: Path, workspace: Path, options: SourceOptions) -> SourceModel:
        """Export the model in *path*, with the contract that its processor implies; raises as SourceLoader.load says.

        Raises:
            InputError: it brings code of its own, pickled weights, or an architecture whose task is not known.
        """
        config = read_config(path)
        weights = find_weights(path)
        size = sum(file.stat().st_size for file in weights)
        check_counts(path, config, count_tensors(weights), size)
        require_packages(str(path), "torch", "onnxscript", "transformers", "safetensors")
        files = (*(path / name for name in _NOTES if (path / name).is_file()), *weights)
        request = make_request("huggingface", path, _set_apart(files, workspace / "huggingface"), workspace, options)
        model = export_source(self.format, request, size, workspace, options)
        found = find_processing(path, model.inputs, model.outputs, workspace / "contract")
        return replace(
            model,
            files=tuple(dict.fromkeys((*files, *found.notes))),
            tools=list_versions("transformers") | dict(model.tools),
            processing=found.processing,
            processing_files=found.files,
            processing_gap=found.gap,
        )


def _set_apart(files: Sequence[Path], directory: Path) -> Path:
    """*directory* with links to *files* alone, so that nothing else beside them takes part when the model is read."""
    directory.mkdir()
    for file in files:
        (directory / file.name).symlink_to(file.absolute())
    return directory.absolute()


def read_config(path: Path) -> dict[str, Any]:
    """The configuration of the model in *path*, which asks for nothing but transformers' own code (InputError)."""
    config = _read_json(path / _CONFIG, _MAX_CONFIG_BYTES)
    _check_code(path, config)
    _check_task(path / _CONFIG, config)
    return config


def _check_task(file: Path, config: Mapping[str, Any]) -> None:
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not architectures or not isinstance(architectures[0], str):
        raise InputError(file, "field 'architectures' names no class of transformers, so this is no model that it saved", _SAVE)
    if config.get("is_encoder_decoder") and not architectures[0].endswith(("ForObjectDetection", "Classification")):
        problem = f"{architectures[0]} has a decoder that is run again for each word, which one graph cannot do"
        raise InputError(file, problem, "Give its encoder by package.module:factory.")
    find_task(architectures[0], str(file))


def _check_code(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse what would run code that is not transformers' own, or weights that are not these."""
    file = path / _CONFIG
    if "auto_map" in config:
        problem = "field 'auto_map' names code in this directory or on a hub, which would have to be run"
        raise InputError(file, problem, "If you trust that code, import it in package.module:factory, and give that.")
    if "transformers_weights" in config or (path / _ADAPTER).exists():
        raise InputError(path, "it holds an adapter for another model's weights, or names weights of its own", "Merge it: model.merge_and_unload().")
    if "quantization_config" in config:
        raise InputError(file, "field 'quantization_config' says that its weights are quantised already", "Give the model before it was quantised.")
    for key, value in _walk(config):
        if key.endswith("attn_implementation") and value not in _PLAIN_ATTENTION:
            raise InputError(file, f"field {key!r} names {value!r}, and attention is only exported as PyTorch has it", "Leave that field out.")


def find_weights(path: Path) -> tuple[Path, ...]:
    """The safetensors files in *path*: one, or those that its index names (InputError)."""
    if (path / _WEIGHTS).is_file():
        return _check_size(path, (path / _WEIGHTS,))
    if (path / _INDEX).is_file():
        index = _read_json(path / _INDEX, _MAX_HEADER_BYTES).get("weight_map")
        names = sorted({str(name) for name in index.values()}) if isinstance(index, dict) else []
        for name in names:
            if Path(name).name != name or not (path / name).is_file():
                raise InputError(path / _INDEX, f"it names {name!r}, which is no file beside it", _FETCH)
        return _check_size(path, tuple(path / name for name in names))
    pickled = sorted(file.name for pattern in _PICKLES for file in path.glob(pattern))
    if pickled:
        raise InputError(path, f"its weights are in {pickled[0]}, and no {_WEIGHTS} is here: unpickling a file runs code in it", _SAVE)
    raise InputError(path, f"it has a {_CONFIG}, but no {_WEIGHTS}", _FETCH)


def _check_size(path: Path, files: tuple[Path, ...]) -> tuple[Path, ...]:
    total = sum(file.stat().st_size for file in files)
    if not files or total > _MAX_BYTES:
        raise InputError(path, f"its weights have {total >> 20} MiB, and an ONNX file has at most 2 GiB", "Give a smaller model.")
    return files


def count_tensors(files: tuple[Path, ...]) -> int:
    """How many tensors *files* have, by their headers: eight bytes of length, then JSON (safetensors' format)."""
    return sum(len(_read_header(file)) for file in files)


def _read_header(file: Path) -> Mapping[str, Any]:
    with file.open("rb") as opened:
        start = opened.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(_MAX_HEADER_BYTES, file.stat().st_size):
            raise InputError(file, f"it is no whole safetensors file: its header is said to have {length} bytes", _FETCH)
        return _parse(opened.read(length), file)


def check_counts(path: Path, config: Mapping[str, Any], tensors: int, size: int) -> None:
    """Refuse a configuration that asks for more than *tensors* tensors in *size* bytes can hold: building it would take for ever.

    Raises:
        InputError: the message names the field.
    """
    for key, value in _walk(config):
        if isinstance(value, int) and key in _LAYERS and value > tensors:
            raise InputError(path / _CONFIG, f"field {key!r} asks for {value} layers, and the weights have {tensors} tensors", _SAVE)
        if isinstance(value, int) and abs(value) > (size if key == _CLASSES else max(size, _ANY_NUMBER)):
            raise InputError(path / _CONFIG, f"field {key!r} is {value}, and the weights have {size} bytes", _SAVE)


def _walk(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every field of *config* and of the configurations in it; of a list each element."""
    for key, given in config.items():
        for value in given if isinstance(given, list) else [given]:
            yield key, value
            if isinstance(value, dict):
                yield from _walk(value)


def _read_json(file: Path, limit: int) -> dict[str, Any]:
    if file.stat().st_size > limit:
        raise InputError(file, f"it has more than {limit >> 20} MiB", _FETCH)
    return _parse(file.read_bytes(), file)


def _parse(data: bytes, file: Path) -> dict[str, Any]:
    try:
        read = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(file, f"it is damaged: {error}", _FETCH) from error
    if not isinstance(read, dict):
        raise InputError(file, "it is damaged: it holds no JSON object", _FETCH)
    return read
