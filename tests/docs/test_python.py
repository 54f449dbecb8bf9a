"""The code of the guide to Python runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "python.md"


def test_the_guides_code_runs(make_contract_bundle, kits, tmp_path):
    """Both pieces print an answer: one to a picture in words, one to tensors."""
    make_contract_bundle("image", "flowers-bundle")
    (tmp_path / "rose.jpg").write_bytes(kits("image").items[0])
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    printed = [subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60) for code in blocks]
    in_words, in_tensors = (done.stdout for done in printed)
    assert re.fullmatch(r"Answer\(red 0\.\d+, green 0?\.?\S+\)\nred 0\.\d+\n", in_words)
    assert "'logits': array(" in in_tensors
