"""What the guide says of data is what is read."""

import re
from pathlib import Path

from edgekit.datasets.registry import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "data.md"


def test_the_page_names_every_kind() -> None:
    """The table has each kind that can be opened, and no other."""
    assert re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text().partition("## Which")[0], re.MULTILINE) == list(KINDS)
