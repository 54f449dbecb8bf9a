"""Trains the digits model, and writes it with its calibration and evaluation data beside this file.

The files are committed, so this runs only when the model is to be made anew:

    pip install 'edgekit[torch]' onnx
    python examples/digits/train.py
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from sklearn.datasets import load_digits
from torch import nn

HERE = Path(__file__).parent
TRAINED, CALIBRATED, EPOCHS, BATCH = 1297, 200, 30, 64


class DigitsCNN(nn.Module):
    """Scores ten digits: (n, 1, 8, 8) floats from 0 to 1 in, (n, 10) logits out."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*self._block(1, 32), *self._block(32, 64), nn.MaxPool2d(2), *self._block(64, 64), nn.Flatten())
        self.classes = nn.Sequential(nn.Dropout(0.3), nn.Linear(64 * 16, 64), nn.ReLU(), nn.Linear(64, 10))

    @staticmethod
    def _block(width_in: int, width_out: int) -> list[nn.Module]:
        return [nn.Conv2d(width_in, width_out, 3, padding=1), nn.BatchNorm2d(width_out), nn.ReLU()]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.classes(self.features(image))


def split_digits() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The 1,797 digits of scikit-learn, shuffled: training data and 500 for evaluation."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images = (digits.images[order] / 16).astype(np.float32)[:, None]
    labels = digits.target[order].astype(np.int64)
    return (
        {"image": images[:TRAINED], "labels": labels[:TRAINED]},
        {"image": images[TRAINED:], "labels": labels[TRAINED:]},
    )


def train_model(images: torch.Tensor, labels: torch.Tensor) -> DigitsCNN:
    """A model trained on images that are shifted by up to one pixel, except in the last five epochs."""
    model = DigitsCNN()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-2)
    steps = EPOCHS * -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        for chosen in torch.randperm(len(images)).split(BATCH):
            shift = (0, 0) if epoch >= EPOCHS - 5 else tuple(torch.randint(-1, 2, (2,)).tolist())
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[chosen].roll(shift, (2, 3))), labels[chosen]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def write_onnx(model: DigitsCNN, example: torch.Tensor) -> None:
    """Export with one dynamic batch, without the stack traces of this machine that the exporter notes at each node."""
    program = torch.onnx.export(
        model,
        (example,),
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
    )
    proto = program.model_proto
    for annotated in (proto, proto.graph, *proto.graph.node, *proto.graph.value_info):
        del annotated.metadata_props[:]
    onnx.save(proto, HERE / "digits.onnx")


def main() -> None:
    torch.manual_seed(0)
    training, evaluation = split_digits()
    model = train_model(torch.tensor(training["image"]), torch.tensor(training["labels"]))
    with torch.no_grad():
        found = model(torch.tensor(evaluation["image"])).argmax(1).numpy()
    print(f"top-1 on {len(found)} unseen digits: {(found == evaluation['labels']).mean():.3f}")
    write_onnx(model, torch.tensor(training["image"][:2]))
    np.savez_compressed(HERE / "calibration.npz", image=training["image"][:CALIBRATED])
    np.savez_compressed(HERE / "evaluation.npz", **evaluation)


if __name__ == "__main__":
    main()
