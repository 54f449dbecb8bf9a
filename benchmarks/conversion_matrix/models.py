"""The rows of the conversion matrix: small models with real weights, and large ones as transformers builds them.

No weights are fetched: what transformers builds has seeded ones. Such a model has the operators, the size and the cost of
the real one, and its answers say whether a conversion kept them; they say nothing about accuracy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.arrays import encode_arrays

SHARED = Path(__file__).parents[3] / "shared" / "models"
DIGITS = Path(__file__).parents[2] / "examples" / "digits"
SEED = 0
CALIBRATION = 64


@dataclass(frozen=True)
class Row:
    """One model to convert.

    *make* writes it into a directory and returns what ``edgekit convert`` takes as its source. *data* gives the arrays of
    calibration and of evaluation for such a source, either of them None. *shapes* are those of ``--shape``.
    """

    name: str
    make: Callable[[Path], Path]
    data: Callable[[], tuple[dict[str, Any] | None, dict[str, Any] | None]] = lambda: (None, None)
    shapes: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    metric: str | None = None


def write_data(arrays: dict[str, Any] | None, path: Path) -> Path | None:
    """*arrays* as an ``.npz`` at *path*; None where there are none."""
    if arrays is None:
        return None
    path.write_bytes(encode_arrays(arrays))
    return path


def _give(*parts: str) -> Callable[[Path], Path]:
    return lambda _: SHARED.joinpath(*parts)


def _digits() -> tuple[dict[str, Any], dict[str, Any]]:
    with np.load(DIGITS / "calibration.npz") as calibration, np.load(DIGITS / "evaluation.npz") as evaluation:
        return dict(calibration), dict(evaluation)


def _fashion() -> tuple[dict[str, Any], dict[str, Any]]:
    with np.load(SHARED / "fashion-mnist" / "fashion_5000train_1000test.npz") as data:
        train, test = (((data[name] / 255 - 0.286) / 0.353).astype(np.float32)[:, None] for name in ("x_train", "x_test"))
        return {"input": train[:200]}, {"input": test, "labels": data["y_test"].astype(np.int64)}


def _keywords(name: str, *, is_float: bool) -> Callable[[], tuple[dict[str, Any], dict[str, Any]]]:
    """The thousand labelled keywords for the input *name*; the first 200 calibrate, for there are no others."""

    def read() -> tuple[dict[str, Any], dict[str, Any]]:
        with np.load(SHARED / "mlperf-tiny-kws" / "kws01_1000.npz") as data:
            given = data["x_int8"]
            features = (given.astype(np.float32) - np.float32(data["zero_point"])) * data["scale"] if is_float else given
            return {name: features[:200]}, {name: features, "labels": data["y"].astype(np.int64)}

    return read


def _activity(name: str) -> Callable[[], tuple[dict[str, Any], dict[str, Any]]]:
    def read() -> tuple[dict[str, Any], dict[str, Any]]:
        with np.load(SHARED / "st-har" / "har_windows.npz") as data:
            windows = (data["x"] / 4000).astype(np.float32)
            return {name: windows[::16]}, {name: windows, "labels": data["y"].astype(np.int64)}

    return read


def _sounds(name: str) -> Callable[[], tuple[dict[str, Any], None]]:
    def read() -> tuple[dict[str, Any], None]:
        with np.load(SHARED / "mlperf-tiny-ad" / "logmel_windows_unlabelled.npz") as data:
            return {name: data["x"][:200]}, None

    return read


def _pictures(name: str, shape: tuple[int, ...], scale: float) -> Callable[[], tuple[dict[str, Any], None]]:
    """Coarse seeded patterns between 0 and *scale*: no pictures lie beside these models."""

    def read() -> tuple[dict[str, Any], None]:
        rng = np.random.default_rng(SEED)
        height, width, channels = shape
        coarse = rng.random((CALIBRATION, 6, 6, channels))
        rows, columns = np.arange(height) * 6 // height, np.arange(width) * 6 // width
        pictures = coarse[:, rows][:, :, columns] * 0.9 + rng.random((CALIBRATION, *shape)) * 0.1
        return {name: (pictures * scale).astype(np.float32)}, None

    return read


def _build(class_name: str, config_name: str, *, settled: bool = False, balanced: bool = False, **changes: Any) -> Callable[[Path], Path]:
    """A Hugging Face directory of *class_name* with the configuration's own sizes, *changes* apart, and seeded weights.

    *settled* gives its batch norms statistics of made-up pictures, and *balanced* its last layer a bias with which no class is
    likelier than another over them.
    """

    def make(directory: Path) -> Path:
        import torch
        import transformers

        torch.manual_seed(SEED)
        config = getattr(transformers, config_name)(**changes)
        model = getattr(transformers, class_name)(config)
        if settled:
            _settle_batch_norms(model, getattr(config, "image_size", 224))
        if balanced:
            _balance_classes(model.eval())
        model.eval().save_pretrained(directory, safe_serialization=True)
        return directory

    return make


def _settle_batch_norms(model: Any, size: int) -> None:
    """Give batch norms the statistics of made-up pictures: with those that it begins with, an EfficientNet answers zero.

    The others are left as they are: normalised anew, a network that was never trained makes much of every little noise.
    """
    import torch

    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean over all batches
    with torch.no_grad():
        for _ in range(2):
            model.train()(pixel_values=torch.randn(8, 3, size, size))


def _balance_classes(model: Any) -> None:
    """Take the mean answer to made-up pictures away: a deep network that was never trained gives all of them the same class."""
    import torch

    from edgekit.golden import synthesize_inputs
    from edgekit.tensors import TensorSpec

    last = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
    spec = TensorSpec(name="pictures", dtype="float32", shape=("n", 3, 224, 224))
    pictures = synthesize_inputs((spec,), 32, np.random.default_rng(SEED + 1))["pictures"]
    with torch.no_grad():
        last.bias -= model(pixel_values=torch.from_numpy(pictures)).logits.mean(0)


def _texts(length: int, vocabulary: int, *names: str) -> Callable[[], tuple[dict[str, Any], None]]:
    def read() -> tuple[dict[str, Any], None]:
        rng = np.random.default_rng(SEED)
        ids = rng.integers(0, vocabulary, (CALIBRATION // 2, length))
        return {name: ids if name == "input_ids" else np.ones_like(ids) for name in names}, None

    return read


_TEXT: dict[str, tuple[int | None, ...]] = {"sequence": (64,)}


def _floats(shape: tuple[int, ...], name: str = "pixel_values") -> Callable[[], tuple[dict[str, Any], None]]:
    def read() -> tuple[dict[str, Any], None]:
        return {name: np.random.default_rng(SEED).normal(size=(CALIBRATION // 4, *shape)).astype(np.float32)}, None

    return read


ROWS: tuple[Row, ...] = (
    Row("digits.onnx", lambda _: DIGITS / "digits.onnx", _digits, metric="top1"),
    Row("fashion_cnn.onnx", _give("fashion-mnist", "fashion_cnn.onnx"), _fashion, metric="top1"),
    Row("kws_ref_model (SavedModel)", _give("mlperf-tiny-kws", "kws_ref_model"), _keywords("input_1", is_float=True), metric="top1"),
    Row("kws_ref_model_float32.tflite", _give("mlperf-tiny-kws", "kws_ref_model_float32.tflite"), _keywords("input_1", is_float=True), metric="top1"),
    Row("kws_ref_model.tflite", _give("mlperf-tiny-kws", "kws_ref_model.tflite"), _keywords("input_1", is_float=False), metric="top1"),
    Row("st-har model.h5", _give("st-har", "model.h5"), _activity("conv1d_input"), metric="top1"),
    Row("ad01.h5", _give("mlperf-tiny-ad", "ad01.h5"), _sounds("input_1")),
    Row("ad01_fp32.tflite", _give("mlperf-tiny-ad", "ad01_fp32.tflite"), _sounds("input_1")),
    Row("ad01_int8.tflite", _give("mlperf-tiny-ad", "ad01_int8.tflite")),
    Row("pretrainedResnet.h5", _give("mlperf-tiny-ic", "pretrainedResnet.h5"), _pictures("input_1", (32, 32, 3), 255)),
    Row("pretrainedResnet.tflite", _give("mlperf-tiny-ic", "pretrainedResnet.tflite"), _pictures("input_1", (32, 32, 3), 255)),
    Row(
        "pretrainedResnet_large_float.tflite",
        _give("mlperf-tiny-ic", "pretrainedResnet_large_float.tflite"),
        _pictures("serving_default_input_5:0", (32, 32, 3), 255),
    ),
    Row("pretrainedResnet_quant.tflite", _give("mlperf-tiny-ic", "pretrainedResnet_quant.tflite")),
    Row("pretrainedResnet_large_int8.tflite", _give("mlperf-tiny-ic", "pretrainedResnet_large_int8.tflite")),
    Row("vww_96.h5", _give("mlperf-tiny-vww", "vww_96.h5"), _pictures("input_1", (96, 96, 3), 1)),
    Row("vww_96_float.tflite", _give("mlperf-tiny-vww", "vww_96_float.tflite"), _pictures("input_1", (96, 96, 3), 1)),
    Row("vww_96_int8.tflite", _give("mlperf-tiny-vww", "vww_96_int8.tflite")),
    Row("MobileNetV2", _build("MobileNetV2ForImageClassification", "MobileNetV2Config"), _floats((3, 224, 224))),
    Row(
        "EfficientNet-B0",
        _build(
            "EfficientNetForImageClassification",
            "EfficientNetConfig",
            settled=True,
            image_size=224,
            width_coefficient=1.0,
            depth_coefficient=1.0,
            hidden_dim=1280,
        ),
        _floats((3, 224, 224)),
    ),
    Row("MobileViT-S", _build("MobileViTForImageClassification", "MobileViTConfig"), _floats((3, 256, 256))),
    Row("ResNet-50", _build("ResNetForImageClassification", "ResNetConfig", settled=True, balanced=True), _floats((3, 224, 224))),
    Row(
        "YOLOS-tiny",
        _build("YolosForObjectDetection", "YolosConfig", hidden_size=192, num_attention_heads=3, intermediate_size=768, image_size=[256, 256]),
        _floats((3, 256, 256)),
    ),
    Row("BERT-base", _build("BertModel", "BertConfig"), _texts(64, 30522, "input_ids", "attention_mask"), shapes=_TEXT),
    Row(
        "Llama (24 M)",
        _build(
            "LlamaForCausalLM",
            "LlamaConfig",
            vocab_size=8192,
            hidden_size=384,
            intermediate_size=1024,
            num_hidden_layers=8,
            num_attention_heads=6,
            num_key_value_heads=2,
        ),
        _texts(32, 8192, "input_ids", "attention_mask"),
        shapes={"sequence": (32,)},
    ),
)
