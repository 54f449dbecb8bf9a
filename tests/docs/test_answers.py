"""What the documentation says of answers is what contracts take."""

import re
from pathlib import Path

import pytest

from edgekit.contract import Detect
from edgekit.processing.presets import read_processing

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "answers.md"
BLOCKS = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_each_contract_in_the_page_is_read(block: str, tmp_path: Path) -> None:
    """Every example of a detector's answer is one, field for field."""
    (tmp_path / "contract.toml").write_text(block)
    answer = read_processing(tmp_path / "contract.toml").answer
    assert isinstance(answer, Detect)
    assert answer.layout == ("split" if answer.scores == "logits" else "yolo" if answer.scores is None else "classified")


def test_the_page_names_every_reading_and_layout() -> None:
    """No reading or layout of the contract is left out of the tables."""
    text = PAGE.read_text()
    for word in ("classes", "boxes", "mask", "embedding", "anomaly", "ctc", "split", "classified", "yolo", "yolo-objectness"):
        assert f"| `{word}` |" in text
