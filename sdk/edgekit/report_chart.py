"""The report's chart: accuracy against latency, a bubble for each variant, as a figure that plotly.js draws.

Figures are plain dictionaries, so that plotly's Python side is not needed to make them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import product
from typing import Any

from edgekit.manifest import Latency, Metric, Variant
from edgekit.quantities import format_bytes, format_change, format_ms

# Colours that readers with any kind of colour vision can tell apart (Okabe and Ito), each with a shape of its own.
STYLES = {"onnx": ("#0072b2", "circle"), "tflite": ("#d55e00", "diamond"), "openvino": ("#009e73", "square")}
OTHER_STYLE = ("#8a5a9e", "pentagon")
INK, FAINT, GRID = "#1d2733", "#5c6b7a", "#e6eaef"

#: The plot's size in pixels for which labels are placed; narrower pages show none and leave them to the table.
WIDTH, HEIGHT = 980, 400
LARGEST, SMALLEST = 40, 12
_LINE, _LETTER, _PADDING = 18, 7.4, 5


@dataclass(frozen=True)
class Point:
    """One variant as it was measured on the target that the chart is of."""

    variant: Variant
    latency: Latency
    is_default: bool

    @property
    def label(self) -> str:
        """What stands beside the bubble."""
        return f"{self.variant.id} (default)" if self.is_default else self.variant.id


@dataclass(frozen=True)
class Box:
    """A rectangle on the page, in pixels, by its middle and its size."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: "Box") -> float:
        """The area that both cover."""
        across = min(self.x + self.width / 2, other.x + other.width / 2) - max(self.x - self.width / 2, other.x - other.width / 2)
        down = min(self.y + self.height / 2, other.y + other.height / 2) - max(self.y - self.height / 2, other.y - other.height / 2)
        return max(across, 0.0) * max(down, 0.0)


@dataclass(frozen=True)
class Scale:
    """Where values of one axis lie: *low* at 0 and *high* at *pixels*."""

    low: float
    high: float
    pixels: int

    def place(self, value: float) -> float:
        """The distance of *value* from *low*, in pixels."""
        return (value - self.low) / (self.high - self.low) * self.pixels


def draw_chart(points: Sequence[Point], bound: float | None) -> dict[str, Any]:
    """The figure of *points*: metric against latency, or size against latency where not every variant has the metric.

    *bound* is the lowest value of the metric that the gate let pass, where there was one.
    """
    metrics = [point.variant.metric for point in points]
    measured = [metric for metric in metrics if metric is not None]
    by_metric = len(measured) == len(points)
    heights = [metric.value for metric in measured] if by_metric else [float(point.variant.size) for point in points]
    lines = _reference_values(measured, bound) if by_metric else []
    up = _metric_scale(heights + [value for value, _, _ in lines]) if by_metric else Scale(0.0, max(heights) * 1.25, HEIGHT)
    across = _latency_scale(points)
    bubbles = [_place_bubble(point, height, points, across, up) for point, height in zip(points, heights, strict=True)]
    notes = [_place_note(text, up.pixels - up.place(value), bubbles) for value, text, _ in lines]
    layout = _lay_out(points, across, up, measured[0].name if by_metric else None)
    layout["shapes"] = [_draw_line(value, dash) for value, _, dash in lines]
    layout["annotations"] = [_draw_note(box, text, across, up) for box, (_, text, _) in zip(notes, lines, strict=True)]
    across_lines = [Box(WIDTH / 2, up.pixels - up.place(value), WIDTH, 2) for value, _, _ in lines]
    layout["annotations"] += _label(points, heights, bubbles, [*notes, *across_lines])
    return {"data": _draw_bubbles(points, heights), "layout": layout}


def _latency_scale(points: Sequence[Point]) -> Scale:
    """A logarithmic scale that leaves room at both ends."""
    logs = [math.log10(max(point.latency.p50, 1e-6)) for point in points]
    room = max(0.12 * (max(logs) - min(logs)), 0.12)
    return Scale(min(logs) - room, max(logs) + room, WIDTH)


def _metric_scale(values: Sequence[float]) -> Scale:
    room = max(0.22 * (max(values) - min(values)), 0.002)
    return Scale(min(values) - room, max(values) + room, HEIGHT)


def _reference_values(metrics: Sequence[Metric], bound: float | None) -> list[tuple[float, str, str]]:
    """Where the source model stands, and the bound below which the gate refuses: value, text, and the line's dashes.

    A bound so far away that the variants would crowd at the top is left out.
    """
    source = metrics[0].source_value
    values = [metric.value for metric in metrics] + [source]
    lines = [(source, f"source model {source:.4f}", "dot")]
    if bound is not None and bound < source and min(values) - bound <= 3 * (max(values) - min(values)):
        lines.append((bound, f"bound {bound:.4f}", "dash"))
    return lines


def _place_bubble(point: Point, height: float, points: Sequence[Point], across: Scale, up: Scale) -> Box:
    diameter = _diameter(point, points)
    return Box(across.place(math.log10(max(point.latency.p50, 1e-6))), up.pixels - up.place(height), diameter, diameter)


def _place_note(text: str, y: float, bubbles: Sequence[Box]) -> Box:
    """The place above or below a line, from right to left, where the least is covered."""
    width = len(text) * _LETTER
    steps = range(int(WIDTH - width / 2), int(width / 2), -20)
    boxes = [Box(x, y + side * (_LINE / 2 + 1), width, _LINE) for x, side in product(steps, (-1, 1))]
    return min(boxes, key=lambda box: sum(box.overlap(bubble) for bubble in bubbles))


def _diameter(point: Point, points: Sequence[Point]) -> float:
    """A bubble's area says the variant's size."""
    largest = max(each.variant.size for each in points)
    return max(LARGEST * math.sqrt(point.variant.size / largest) if largest else 0.0, SMALLEST)


def _draw_bubbles(points: Sequence[Point], heights: Sequence[float]) -> list[dict[str, Any]]:
    """One trace for each format, since the legend lists traces. Large bubbles come first, so that small ones lie on top."""
    order = sorted(zip(points, heights, strict=True), key=lambda pair: -pair[0].variant.size)
    formats = list(dict.fromkeys(point.variant.format for point in points))
    return [_trace(name, [pair for pair in order if pair[0].variant.format == name], points) for name in formats]


def _trace(format: str, pairs: Sequence[tuple[Point, float]], points: Sequence[Point]) -> dict[str, Any]:
    colour, symbol = STYLES.get(format, OTHER_STYLE)
    mine = [point for point, _ in pairs]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": escape(format),
        "x": [point.latency.p50 for point in mine],
        "y": [height for _, height in pairs],
        "error_x": {"type": "data", "array": [point.latency.spread / 2 for point in mine], "color": colour, "thickness": 1, "width": 3},
        "marker": {
            "size": [_diameter(point, points) for point in mine],
            "symbol": symbol,
            "color": colour,
            "opacity": 0.78,
            "line": {"color": [INK if point.is_default else "#ffffff" for point in mine], "width": [3 if point.is_default else 1 for point in mine]},
        },
        "text": [_describe(point) for point in mine],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _describe(point: Point) -> str:
    """What the pointer shows: plotly takes its text as a little HTML, so it is escaped."""
    latency, variant = point.latency, point.variant
    lines = [f"<b>{escape(point.label)}</b>", f"p50 {format_ms(latency.p50)}, p95 {format_ms(latency.p95)}", f"size {format_bytes(variant.size)}"]
    if variant.metric is not None:
        change = format_change(variant.metric.value - variant.metric.source_value)
        lines.append(f"{escape(variant.metric.name)} {variant.metric.value:.4f} ({change})")
    return "<br>".join(lines)


def _lay_out(points: Sequence[Point], across: Scale, up: Scale, metric: str | None) -> dict[str, Any]:
    ticks = _latency_ticks(across)
    heights = _size_ticks(up) if metric is None else _metric_ticks(up)
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": "#b8c2cc", "ticks": "outside", "tickcolor": "#b8c2cc"}
    return {
        "xaxis": {
            **axis,
            "type": "log",
            "range": [across.low, across.high],
            "tickvals": ticks,
            "ticktext": [_trim(format_ms(tick)) for tick in ticks],
            "title": {"text": "latency p50, logarithmic (faster to the left)", "standoff": 12},
        },
        "yaxis": {**axis, **heights, "range": [up.low, up.high], "title": {"text": escape(metric or "size"), "standoff": 12}},
        "showlegend": len({point.variant.format for point in points}) > 1,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemsizing": "constant", "bgcolor": "rgba(0,0,0,0)"},
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif", "size": 13, "color": INK},
        "margin": {"l": 84, "r": 16, "t": 36, "b": 60},
        "height": HEIGHT + 96,
        "plot_bgcolor": "#ffffff",
        "paper_bgcolor": "#ffffff",
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": "#b8c2cc", "font": {"color": INK}, "align": "left"},
        "dragmode": False,
    }


def _latency_ticks(scale: Scale) -> list[float]:
    """Round values of each decade on the axis: the coarsest of four sets that puts three on it, else the finest."""
    decades = range(math.floor(scale.low), math.ceil(scale.high) + 1)
    for digits in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), [half / 2 for half in range(2, 20)], [tenth / 10 for tenth in range(10, 100)]):
        ticks = [digit * 10.0**decade for decade, digit in product(decades, digits) if scale.low <= math.log10(digit) + decade <= scale.high]
        if len(ticks) >= 3:
            break
    return ticks


def _size_ticks(scale: Scale) -> dict[str, Any]:
    """At most six ticks, a power of two apart, so that they are round in binary units."""
    step = 2 ** math.ceil(math.log2(max(scale.high / 6, 1)))
    ticks = list(range(0, int(scale.high) + 1, step))
    return {"tickvals": ticks, "ticktext": [_trim(format_bytes(tick)) for tick in ticks]}


def _metric_ticks(scale: Scale) -> dict[str, Any]:
    """As many decimals on all ticks as tell the closest two apart."""
    decimals = max(1, math.ceil(-math.log10((scale.high - scale.low) / 10)))
    return {"tickformat": f".{decimals}f"}


def _trim(text: str) -> str:
    """*text* without the zeros that end its number: ticks are round."""
    number, unit = text.split(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def _draw_line(value: float, dash: str) -> dict[str, Any]:
    ends = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value}
    return {**ends, "layer": "below", "line": {"color": FAINT, "width": 1, "dash": dash}}


def _draw_note(box: Box, text: str, across: Scale, up: Scale) -> dict[str, Any]:
    place = {"xref": "paper", "x": box.x / across.pixels, "yref": "paper", "y": 1 - box.y / up.pixels}
    return {**place, "xanchor": "center", "yanchor": "middle", "text": text, "showarrow": False, "font": {"size": 12, "color": FAINT}}


def _label(points: Sequence[Point], heights: Sequence[float], bubbles: Sequence[Box], taken: Sequence[Box]) -> list[dict[str, Any]]:
    """The variants' names beside their bubbles, with a thin line where one had to move away."""
    boxes = place_labels(bubbles, [len(point.label) * _LETTER for point in points], taken)
    return [_draw_label(*each) for each in zip(points, heights, bubbles, boxes, strict=True)]


def _draw_label(point: Point, height: float, bubble: Box, box: Box) -> dict[str, Any]:
    text = escape(point.label)
    return {
        "name": "variant",
        "x": math.log10(max(point.latency.p50, 1e-6)),
        "y": height,
        "ax": round(box.x - bubble.x),
        "ay": round(box.y - bubble.y),
        "text": f"<b>{text}</b>" if point.is_default else text,
        "showarrow": True,
        "arrowhead": 0,
        "arrowwidth": 1,
        "arrowcolor": "#9aa7b4",
        "standoff": round(bubble.width / 2),
        "font": {"size": 13, "color": INK},
        "bgcolor": "rgba(255,255,255,0.85)",
        "borderpad": 1,
    }


def place_labels(bubbles: Sequence[Box], widths: Sequence[float], taken: Sequence[Box] = ()) -> list[Box]:
    """A place for a label of each width beside each of *bubbles*, covering them, other labels and what is *taken* as little as can be.

    Each label takes the best of 8 directions at 5 distances; the nearer wins where two are equally free.
    """
    placed: list[Box] = []
    for bubble, width in zip(bubbles, widths, strict=True):
        placed.append(min(_candidates(bubble, width), key=lambda box: _cost(box, bubble, [*bubbles, *taken, *placed])))
    return placed


def _candidates(bubble: Box, width: float) -> list[Box]:
    directions = [(dx, dy) for dx, dy in product((1, 0, -1), (0, -1, 1)) if (dx, dy) != (0, 0)]
    reach = bubble.width / 2
    return [
        Box(bubble.x + dx * (reach + gap + width / 2), bubble.y + dy * (reach + gap + _LINE / 2), width, _LINE)
        for gap, (dx, dy) in product((6, 18, 34, 54, 78), directions)
    ]


def _cost(box: Box, bubble: Box, others: Sequence[Box]) -> float:
    """Pixels covered or outside the plot weigh most, then the distance from the bubble."""
    inside = box.overlap(Box(WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT))
    padded = Box(box.x, box.y, box.width + 2 * _PADDING, box.height)
    covered = sum(padded.overlap(other) for other in others) + 4 * (box.width * box.height - inside)
    return covered * 10 + math.hypot((box.x - bubble.x) / 3, box.y - bubble.y)
