"""The page of the conversion matrix, from the results of its rows."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

TARGETS = ("onnx", "tflite", "openvino", "nvidia")
PRECISIONS = ("fp32", "fp16", "bf16", "int8", "int8-dynamic", "int8-weights", "int4-weights")
TOOLS = ("onnx", "onnxruntime", "openvino", "nncf", "ai-edge-litert", "ai-edge-quantizer", "torch", "transformers")
HEAD = """# Conversion matrix

Every model that is at hand, to every target, in every precision: made by `make matrix` from real runs, each variant run in
its own runtime and held against the source's answers on the golden samples.

A cell has the mean deviation from the source as a share of the output's range, the share of samples with the same highest
class where there are classes, the value of the metric where there are labels, the size, and the seconds that making and
proving it took. A number in brackets is a reason why there is no such variant; the reasons stand below each table.
Models without a file name are built by transformers with seeded weights: their deviation counts, and their classes are
near to chance, so that the share of equal ones says little. Pictures for them are made up.
"""


class Reasons:
    """Reasons numbered in the order in which they are met, each once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, reason: str) -> int:
        """The number of *reason*."""
        return self._numbers.setdefault(reason, len(self._numbers) + 1)

    def list_lines(self) -> list[str]:
        """The reasons as lines of Markdown."""
        return [f"{number}. {' '.join(reason.split())}" for reason, number in self._numbers.items()]


def render(results: Sequence[dict[str, Any]]) -> str:
    """The page for *results*, one a row."""
    parts = [HEAD, _describe_machine(), *(_render_target(target, results) for target in TARGETS), _render_costs(results)]
    return "\n".join(parts)


def _describe_machine() -> str:
    tools = ", ".join(f"{name} {version(name)}" for name in TOOLS)
    return f"Made on {platform.machine()}, Python {platform.python_version()}, with {tools}.\n"


def _render_target(target: str, results: Sequence[dict[str, Any]]) -> str:
    reasons = Reasons()
    made = [precision for precision in PRECISIONS if any(f"{target}-{precision}" in one.get("variants", {}) for one in results)]
    lines = [f"## {target}", "", f"| model | {' | '.join(made)} |", "|---" * (len(made) + 1) + "|"]
    for one in results:
        cells = [_render_cell(_find_variant(one, f"{target}-{precision}"), reasons) for precision in made]
        lines.append(f"| {one['row']} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *reasons.list_lines(), ""])


def _find_variant(result: dict[str, Any], variant: str) -> dict[str, Any]:
    if "refused" in result:
        return {"reason": result["refused"]}
    found: dict[str, Any] = result["variants"].get(variant, {"reason": "it is not tried for a source that came in other numbers, which are kept"})
    return found


def _render_cell(variant: dict[str, Any], reasons: Reasons) -> str:
    if "reason" in variant:
        return f"[{reasons.number(variant['reason'])}]"
    shares = [_format_share(variant["deviation"])]
    if variant["top1"] is not None:
        shares.append(f"{variant['top1']:.0%} same")
    if variant["metric"] is not None:
        shares.append(f"**{variant['metric']:.3f}** of {variant['source_metric']:.3f}")
    return "; ".join([*shares, _format_size(variant["size"]), f"{variant['seconds']:.1f} s"])


def _format_share(share: float) -> str:
    return "exact" if share == 0 else f"{share:.1e}" if share < 1e-4 else f"{share:.2%}"


def _format_size(size: int) -> str:
    return f"{size / 1024:.0f} KiB" if size < 1 << 20 else f"{size / (1 << 20):.1f} MiB"


def _render_costs(results: Sequence[dict[str, Any]]) -> str:
    lines = [
        "## What it cost",
        "",
        "| model | read as | seconds to read and run the source | seconds in all | most memory of one process, MiB |",
        "|---|---|---|---|---|",
    ]
    for one in results:
        if "refused" not in one:
            seconds = one["seconds"]
            lines.append(f"| {one['row']} | {one['format']} | {seconds['reading']:.0f} | {seconds['all']:.0f} | {one['peak_mb']:.0f} |")
    return "\n".join([*lines, ""])
