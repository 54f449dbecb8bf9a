"""What a contract costs against the calls that a careful person would write: a JPEG of 640 x 480 to 224 x 224, normalised, NCHW, float32.

All ways are timed in turn, so that whatever else the machine does meets all alike, and each must give the same tensor. The
contract must cost at most 1.2 times the bare calls of the same libraries. What counts is the CPU's time, of all threads: on a
busy machine the clock on the wall says more of the others than of either.
"""

import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from edgekit.arrays import Array
from edgekit.contract import Crop, Feature, Layout, Normalize, Processing, Resize, Scale, Step
from edgekit.processing.pipeline import open_pipeline
from edgekit.tensors import TensorSpec

ROUNDS = 201
SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NUMBERS = (Scale(factor=1 / 255), Normalize(mean=MEAN, std=STD), Layout(axes="CHW"))
#: The most that a contract may cost, as a multiple of the bare calls.
MOST = 1.2


def make_photo() -> bytes:
    """A JPEG of 640 x 480 with gradients and noise as a camera has them."""
    rows, columns = np.mgrid[0:480, 0:640]
    rng = np.random.default_rng(0)
    channels = [(np.sin(columns / 30 + shift) + np.cos(rows / 20)) * 60 + 127 + rng.normal(0, 6, (480, 640)) for shift in range(3)]
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def open_contract(*steps: Step) -> Callable[[bytes], Array]:
    """Feeding by a contract of *steps*, as every machine does it."""
    contract = Processing(inputs=(Feature(name="image", kind="image", feeds="x", steps=steps),))
    specs = (TensorSpec(name="x", dtype="float32", shape=("n", 3, SIDE, SIDE)),)
    pipeline = open_pipeline(contract, specs, specs, Path())
    return lambda data: pipeline.feed({"image": data}).inputs["x"]


def normalize(pixels: Array) -> Array:
    """The usual lines: floats from 0 to 1, less the mean, divided by the deviation, channels first, a batch of one."""
    values = pixels.astype(np.float32) / 255.0
    values = (values - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1))[None]


def by_pillow(data: bytes) -> Array:
    """Pillow stretches with antialiasing."""
    return normalize(np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)))


def by_pillow_cropped(data: bytes) -> Array:
    """Pillow keeps proportions, and cuts the middle out, as most classifiers are evaluated."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = 256 * image.width // image.height, 256
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return normalize(np.asarray(resized.crop((left, top, left + SIDE, top + SIDE))))


def by_opencv(data: bytes) -> Array:
    """OpenCV decodes and stretches without antialiasing."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return normalize(cv2.cvtColor(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB))


STRETCH = Resize(width=SIDE, height=SIDE)
COVER = Resize(width=256, height=256, fit="cover")
WAYS: dict[str, tuple[Callable[[bytes], Array], Callable[[bytes], Array]]] = {
    "Pillow, stretched": (by_pillow, open_contract(STRETCH, *NUMBERS)),
    "Pillow, the middle": (by_pillow_cropped, open_contract(COVER, Crop(width=SIDE, height=SIDE), *NUMBERS)),
    "OpenCV, stretched": (by_opencv, open_contract(Resize(width=SIDE, height=SIDE, antialias=False), *NUMBERS)),
}


def time_call(call: Callable[[bytes], Array], data: bytes) -> float:
    """The milliseconds of CPU that one call takes."""
    started = time.process_time()
    call(data)
    return (time.process_time() - started) * 1000


def main() -> None:
    """Time all in turn; the exit code is 1 where a contract costs too much or gives another tensor."""
    data = make_photo()
    for name, (bare, contract) in WAYS.items():
        if np.abs(bare(data) - contract(data)).max() > 1e-5:
            sys.exit(f"{name}: the contract feeds another tensor than the bare calls")
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in WAYS}
    for _ in range(ROUNDS):
        for name, pair in WAYS.items():
            for found, call in zip(times[name], pair, strict=True):
                found.append(time_call(call, data))
    rows = {name: tuple(statistics.median(found) for found in pair) for name, pair in times.items()}
    if "--json" in sys.argv[1:]:
        print(json.dumps({name: {"bare_ms": bare, "contract_ms": ours, "ratio": ours / bare} for name, (bare, ours) in rows.items()}))
    else:
        for name, (bare, ours) in rows.items():
            print(f"{name:20} bare {bare:6.2f} ms   contract {ours:6.2f} ms   ratio {ours / bare:5.2f}")
    sys.exit(any(ours > MOST * bare for bare, ours in rows.values()))


if __name__ == "__main__":
    main()
