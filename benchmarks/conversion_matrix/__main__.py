"""Makes docs/conversion-matrix.md from real runs: every model, to every target, in every precision.

    python benchmarks/conversion_matrix [--rows NAME …] [--again]

Needs the extras ``convert`` and ``torch``. Each row is measured in a process of its own and kept in ``.matrix/``, so that a
run that was stopped goes on where it was; ``--again`` forgets what was kept.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path

from models import ROWS
from rendering import render

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KEPT = ROOT / ".matrix"
PAGE = ROOT / "docs" / "conversion-matrix.md"
#: Seconds that one row may take.
DEADLINE = 3600


def find_result(name: str) -> Path:
    """Where the result of the row *name* is kept."""
    return KEPT / f"{hashlib.sha256(name.encode()).hexdigest()[:12]}.json"


def measure_row(name: str) -> None:
    """Measure the row *name* in a child, and keep its result; a child that dies leaves that as the result."""
    path = find_result(name)
    done = subprocess.run([sys.executable, str(HERE / "measure.py"), name, str(path)], timeout=DEADLINE, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        path.write_text(json.dumps({"row": name, "refused": f"its process ended with {done.returncode}: {last}"}), encoding="utf-8")


def main() -> None:
    """Measure what is not kept yet, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=[row.name for row in ROWS], help="the rows to measure; by default all")
    parser.add_argument("--again", action="store_true", help="measure also what is kept")
    arguments = parser.parse_args()
    KEPT.mkdir(exist_ok=True)
    for place, name in enumerate(arguments.rows, 1):
        if arguments.again or not find_result(name).exists():
            print(f"{place} of {len(arguments.rows)}: {name}", file=sys.stderr, flush=True)
            measure_row(name)
    results = [json.loads(path.read_text(encoding="utf-8")) for row in ROWS if (path := find_result(row.name)).exists()]
    PAGE.write_text(render(results), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
