"""The report of a bundle: one HTML page with everything in it, that needs no network to be read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from edgekit.errors import DeviceError
from edgekit.files import write_file
from edgekit.manifest import Manifest, Measurement, Variant
from edgekit.processing.wording import describe_feature, describe_reading, describe_step
from edgekit.quantities import (
    NOT_MEASURED,
    UNKNOWN,
    format_agreement,
    format_bytes,
    format_change,
    format_deviation,
    format_mb,
    format_ms,
    format_ratio,
    format_share,
)
from edgekit.report_chart import Point, draw_chart

#: The report's name in a bundle.
REPORT = "report.html"
#: What a variant is held against: the source as it would run without edgekit.
REFERENCE = "onnx-fp32"
_TEMPLATE = Path(__file__).with_name("report.html")
# Narrow pages show no labels beside the bubbles: there they would lie on one another.
_DRAW = """
for (const [id, figure] of Object.entries(%s)) {
  const place = document.getElementById(id);
  if (place.clientWidth < 700) figure.layout.annotations = figure.layout.annotations.filter(note => note.name !== "variant");
  Plotly.newPlot(place, figure.data, figure.layout, {displayModeBar: false, responsive: true});
}
"""


class Html(str):
    """Text that is HTML already. Any other text is escaped before it gets into a page."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str) -> Html:
    """The element *name*, with its text escaped unless it is Html. ``class_`` stands for the attribute ``class``."""
    inside = "".join(child if isinstance(child, Html) else escape(child) for child in children)
    named = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items() if value)
    return Html(f"<{name}{named}>{inside}</{name}>")


@dataclass(frozen=True)
class Scene:
    """A manifest as seen from one target: what was measured there, which variant is the default, and what it is held against."""

    manifest: Manifest
    target: str
    measured: tuple[tuple[Variant, Measurement], ...]

    @property
    def default(self) -> Variant:
        """The default on this target; where none was chosen, the fastest."""
        choice = self.manifest.defaults.get(self.target)
        if choice is not None:
            return self.manifest.find_variant(choice.variant)
        return min(self.measured, key=lambda pair: pair[1].latency_ms.p50)[0]

    @property
    def listed(self) -> tuple[Variant, ...]:
        """The variants measured there, and those for accelerators, which no machine without one measures."""
        ids = {variant.id for variant, _ in self.measured}
        return tuple(variant for variant in self.manifest.variants if variant.id in ids or variant.accelerator is not None)

    @property
    def reason(self) -> str:
        """Why the default was chosen."""
        choice = self.manifest.defaults.get(self.target)
        return "the fastest that was measured" if choice is None else choice.reason

    @property
    def reference(self) -> tuple[Variant, Measurement] | None:
        """The source's own format at full precision, where it was measured."""
        return next((pair for pair in self.measured if pair[0].id == REFERENCE), None)


def write_report(manifest: Manifest, path: Path) -> None:
    """Write the report of *manifest* to *path*; it is whole or absent."""
    write_file(path, render_report(manifest).encode())


def render_report(manifest: Manifest) -> str:
    """The report of *manifest* as HTML. Equal manifests give equal pages.

    Raises:
        DeviceError: plotly, whose JavaScript goes into the page, is not installed.
    """
    scenes = find_scenes(manifest)
    body = [_render_header(manifest, scenes), *(_render_scene(scene, f"chart-{index}") for index, scene in enumerate(scenes))]
    if not scenes:
        body.append(_card("Variants", _render_variants(manifest.variants)))
    body += [_render_warnings(manifest), _render_contract(manifest), _render_skipped(manifest), _render_lineage(manifest)]
    charts = {f"chart-{index}": _chart(scene) for index, scene in enumerate(scenes)}
    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(title=escape(f"{manifest.name}: edgekit report"), body="\n".join(body), script=_render_script(charts))


def find_scenes(manifest: Manifest) -> list[Scene]:
    """One scene for each target on which something was measured, in the manifest's order."""
    targets = dict.fromkeys(one.target for variant in manifest.variants for one in variant.measured)
    found = []
    for target in targets:
        pairs = ((variant, variant.find_measurement(target)) for variant in manifest.variants)
        found.append(Scene(manifest, target, tuple((variant, one) for variant, one in pairs if one is not None)))
    return found


def _render_script(charts: Mapping[str, Any]) -> str:
    if not charts:
        return ""
    # "</script>" inside a string would end the element: HTML, section 4.12.1.3.
    data = json.dumps(charts).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"<script>\n{_read_plotly()}\n{_DRAW % data}</script>"


def _read_plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise DeviceError("report", "plotly, which draws its chart, is not installed", "Install it: pip install 'edgekit[convert]'.") from error
    return str(get_plotlyjs())


def _chart(scene: Scene) -> dict[str, Any]:
    points = [Point(variant, one.latency_ms, variant.id == scene.default.id) for variant, one in scene.measured]
    return draw_chart(points, _find_bound(scene))


def _find_bound(scene: Scene) -> float | None:
    """The lowest metric that the gate let pass: the source's value less the drop that the options allow."""
    drop, metric = scene.manifest.lineage.options.get("max_drop"), scene.default.metric
    if drop is None or metric is None:
        return None
    try:
        return metric.source_value - float(drop)
    except ValueError:
        return None  # options are text for people, and another writer may have put it otherwise


def _render_header(manifest: Manifest, scenes: Sequence[Scene]) -> Html:
    lineage = manifest.lineage
    count = f"{len(manifest.variants)} variant{'s' if len(manifest.variants) > 1 else ''}"
    origin = f"{count} of {lineage.source} ({lineage.source_format}, {format_bytes(lineage.source_size)})."
    measured = f" Measured on {', '.join(scene.target for scene in scenes)}." if scenes else " Nothing was measured yet."
    return tag("header", tag("p", "edgekit report", class_="eyebrow"), tag("h1", manifest.name), tag("p", origin + measured, class_="lead"))


def _render_scene(scene: Scene, chart: str) -> Html:
    first = scene.measured[0][1]
    what = "Accuracy" if all(variant.metric for variant, _ in scene.measured) else "Size"
    caption = "A bubble's area is the size of the files, its colour and shape the format; the outlined one is the default. Bars show the spread."
    missing = "" if what == "Accuracy" else " Without labelled samples there is no accuracy to show."
    picture = tag("div", id=chart, class_="chart", role="img", aria_label=f"{what} against latency; the table below has the same figures")
    return Html(
        tag("p", f"On {scene.target} the default is ", tag("b", scene.default.id), f": {scene.reason}.", class_="lead")
        + _render_figures(scene)
        + _card(f"{what} against latency", tag("p", f"{first.machine}. {caption}{missing}", class_="note"), picture)
        + _card("Variants", _render_variants(scene.listed, scene), _render_method(scene))
    )


def _render_figures(scene: Scene) -> Html:
    figures = [_figure_size(scene), _figure_latency(scene), _figure_answers(scene.default)]
    return tag("div", *figures, class_="figures")


def _figure(name: str, value: str, unit: str, detail: str) -> Html:
    shown = tag("div", value, Html(" "), tag("small", unit), class_="value")
    return tag("div", tag("div", name, class_="name"), shown, tag("div", detail, class_="detail"), class_="figure")


def _figure_size(scene: Scene) -> Html:
    size = scene.default.size
    if scene.reference is None or scene.default.id == REFERENCE or not size:
        return _figure("Size", format_bytes(size), "", _explain_alone(scene))
    before = scene.reference[0].size
    value, word = _compare(before / size, "smaller", "larger")
    return _figure("Size", value, word, f"{format_bytes(size)} instead of {format_bytes(before)} ({REFERENCE})")


def _figure_latency(scene: Scene) -> Html:
    latency = next(one.latency_ms.p50 for variant, one in scene.measured if variant.id == scene.default.id)
    if scene.reference is None or scene.default.id == REFERENCE or not latency:
        return _figure("Latency p50", format_ms(latency), "", _explain_alone(scene))
    before = scene.reference[1].latency_ms.p50
    value, word = _compare(before / latency, "faster", "slower")
    return _figure("Latency p50", value, word, f"{format_ms(latency)} instead of {format_ms(before)} ({REFERENCE})")


def _explain_alone(scene: Scene) -> str:
    if scene.default.id == REFERENCE:
        return "This is the plain fp32 ONNX itself: nothing else in the bundle is faster here."
    return f"{REFERENCE} was not measured, so there is nothing to hold it against."


def _compare(ratio: float, better: str, worse: str) -> tuple[str, str]:
    """How a figure that became *ratio* times better is told."""
    if abs(ratio - 1) < 0.005:
        return "same", "as before"
    return (format_ratio(ratio), better) if ratio > 1 else (format_ratio(1 / ratio), worse)


def _figure_answers(variant: Variant) -> Html:
    metric, parity = variant.metric, variant.parity
    if metric is not None:
        change = format_change(metric.value - metric.source_value)
        sure = "" if metric.interval is None else f"; with 95 % confidence {metric.interval[0]:.4f} to {metric.interval[1]:.4f}"
        return _figure(metric.name, change, "", f"{metric.value:.4f} instead of {metric.source_value:.4f}, on {metric.n} samples{sure}")
    if parity.box_agreement is not None:
        return _figure("Same boxes", format_share(parity.box_agreement), "", f"found again, on {parity.n} golden samples")
    if parity.top1_agreement is not None:
        return _figure("Same answers", format_share(parity.top1_agreement), "", f"top-1, on {parity.n} golden samples")
    return _figure("Largest deviation", format_deviation(parity.max_abs), "", f"of any output, on {parity.n} golden samples")


def _render_variants(variants: Sequence[Variant], scene: Scene | None = None) -> Html:
    """The table of *variants*; the columns of latency and memory are there where *scene* has measurements."""
    measured = {variant.id: one for variant, one in scene.measured} if scene else {}
    heads = [("Variant", ""), ("Size", "number")] + ([("Latency p50", "number"), ("p95", "number"), ("Memory", "number")] if measured else [])
    heads += [("Metric", "number"), ("Parity", "number"), ("Same answers", "number")]
    head = tag("tr", *(tag("th", text, class_=kind, scope="col") for text, kind in heads))
    rows = [_render_variant(variant, measured.get(variant.id), scene) for variant in variants]
    return _table(head, rows)


def _render_variant(variant: Variant, one: Measurement | None, scene: Scene | None) -> Html:
    is_default = scene is not None and variant.id == scene.default.id
    badge = tag("span", "default", class_="badge") if is_default else Html()
    under = ", ".join(filter(None, (variant.precision_label if variant.scheme else "", variant.purpose)))
    cells = [tag("td", variant.id, badge, _under(under), class_="name"), _number(format_bytes(variant.size))]
    if scene is not None and one is None:
        cells += [_number(NOT_MEASURED), _number(""), _number("")]
    elif one is not None and scene is not None:
        ratio = _ratio_to_reference(scene, one)
        cells += [
            _number(format_ms(one.latency_ms.p50), ratio),
            _number(format_ms(one.latency_ms.p95), f"spread {format_ms(one.latency_ms.spread)}"),
            _number(format_mb(one.rss_mb)),
        ]
    metric = variant.metric
    cells.append(_number("not measured") if metric is None else _number(f"{metric.value:.4f}", format_change(metric.value - metric.source_value)))
    cells.append(_number(format_deviation(variant.parity.max_abs), f"{format_deviation(variant.tolerance.max_abs)} allowed"))
    parity = variant.parity
    agreement = format_agreement(parity.top1_agreement, parity.box_agreement)
    cells.append(_number("not compared" if agreement == "-" else agreement))
    return tag("tr", *cells, class_="default" if is_default else "")


def _ratio_to_reference(scene: Scene, one: Measurement) -> str:
    if scene.reference is None or scene.reference[1] is one or not one.latency_ms.p50:
        return ""
    value, word = _compare(scene.reference[1].latency_ms.p50 / one.latency_ms.p50, "faster", "slower")
    return f"{value} {word}"


def _render_method(scene: Scene) -> Html:
    measurement = scene.measured[0][1]
    latency = measurement.latency_ms
    parts = [
        f"Latency is that of one inference at batch 1 on {_plural(measurement.threads, 'thread')}, as a caller in Python sees it: "
        f"the median over {_plural(latency.rounds, 'interleaved round')}; the spread is the distance between the quartiles of the rounds' medians.",
        "Memory is that of the whole process that runs the variant. Parity is the largest deviation from the source model's answers "
        f"to {_plural(scene.default.parity.n, 'golden sample')} ({scene.manifest.golden_origin}), with what devices allow below it.",
    ]
    return tag("p", " ".join(parts), class_="note after")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _render_warnings(manifest: Manifest) -> Html:
    if not manifest.warnings:
        return Html()
    return _card("What speaks against trusting these figures", tag("ul", *(tag("li", warning) for warning in manifest.warnings)))


def _render_contract(manifest: Manifest) -> Html:
    """What callers give, each step that makes tensors of it, and how answers are read."""
    contract = manifest.processing
    if contract is None:
        return Html()
    parts = []
    for feature in contract.inputs:
        steps = [tag("li", f"{step.__struct_config__.tag}: {describe_step(step)}") for step in feature.steps]
        parts += [tag("p", tag("b", feature.name), f": {describe_feature(feature)}"), tag("ol", *steps)]
    return _card("Processing", *parts, tag("p", f"Answers are read: {describe_reading(contract.answer)}."))


def _render_skipped(manifest: Manifest) -> Html:
    if not manifest.skipped:
        return Html()
    head = tag("tr", tag("th", "Variant", scope="col"), tag("th", "Why it is not in the bundle", scope="col"))
    rows = [tag("tr", tag("td", one.id, class_="name"), tag("td", one.reason)) for one in manifest.skipped]
    return _card("Skipped or refused", _table(head, rows, "reasons"))


def _render_lineage(manifest: Manifest) -> Html:
    lineage = manifest.lineage
    entries: list[tuple[str, str | Html]] = [
        ("Source", f"{lineage.source}, {lineage.source_format}, {format_bytes(lineage.source_size)}"),
        ("Source digest", tag("code", lineage.source_digest)),
        ("Calibration", _digest_of_data(lineage.calibration_digest)),
        ("Evaluation", _digest_of_data(lineage.evaluation_digest)),
        ("Inputs", "; ".join(map(str, manifest.inputs))),
        ("Outputs", "; ".join(map(str, manifest.outputs))),
        ("Options", _pairs(lineage.options)),
        ("Machine", "; ".join(_machines(manifest)) or UNKNOWN),
        ("Platform", lineage.platform or UNKNOWN),
        ("Tools", _pairs(lineage.tools)),
    ]
    return _card("Lineage", tag("dl", *(part for term, text in entries for part in (tag("dt", term), tag("dd", text)))))


def _digest_of_data(digest: str | None) -> str | Html:
    return "none given" if digest is None else tag("code", digest)


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "none"


def _machines(manifest: Manifest) -> list[str]:
    """Each machine that measured, with the runtimes that it used."""
    runtimes: dict[str, dict[str, None]] = {}
    for one in (one for variant in manifest.variants for one in variant.measured):
        runtimes.setdefault(f"{one.machine} ({one.target})", {})[f"{one.runtime} {one.runtime_version}"] = None
    return [f"{machine} with {', '.join(names)}" for machine, names in runtimes.items()]


def _card(title: str, *children: Html) -> Html:
    return tag("section", tag("h2", title), *children, class_="card")


def _table(head: Html, rows: Sequence[Html], kind: str = "") -> Html:
    return tag("div", tag("table", tag("thead", head), tag("tbody", *rows), class_=kind), class_="scroll")


def _number(text: str, under: str = "") -> Html:
    return tag("td", text, _under(under), class_="number")


def _under(text: str) -> Html:
    """A second line of a cell, in smaller letters; nothing where there is no *text*."""
    return tag("span", text, class_="under") if text else Html()
