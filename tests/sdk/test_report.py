import json
import re
import sys
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from edgekit.artifacts import EngineRecipe
from edgekit.contract import Classify, Feature, Processing, Scale
from edgekit.errors import DeviceError
from edgekit.manifest import Choice, Skipped
from edgekit.quantities import MINUS, TIMES
from edgekit.report import Html, find_scenes, render_report, tag, write_report

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """What a browser would find in a page: its elements, the addresses it would load, and the text that is shown."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.addresses, self.words, self.scripts = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data):
        (self.scripts if self.tags[-1:] == ["script"] and self.cdata_elem == "script" else self.words).append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def page(make_manifest):
    return Page(render_report(make_manifest()))


def test_one_script_and_nothing_from_elsewhere(page):
    """The page has one script, plotly in it once, and loads nothing from anywhere."""
    assert page.tags.count("script") == 1
    assert sum(script.count("* plotly.js v") for script in page.scripts) == 1
    assert page.addresses == []
    assert not {"link", "img", "iframe", "object"} & set(page.tags)


def test_the_browser_is_told_to_load_nothing(make_manifest):
    """A content security policy forbids the network, so that not even plotly's own code can reach it."""
    head = render_report(make_manifest()).partition("</head>")[0]
    assert "default-src 'none'" in head
    assert not re.search(r"url\(|@import", head)


def test_headline_says_what_was_saved(page):
    """The headline holds the default against the source as plain ONNX: size, latency and metric."""
    assert "On x86-64 the default is tflite-int8 : the fastest." in page.text
    assert f"4.00{TIMES} smaller 29.4 KiB instead of 118 KiB (onnx-fp32)" in page.text
    assert f"2.00{TIMES} faster 21.0 µs instead of 42.0 µs (onnx-fp32)" in page.text
    assert f"{MINUS}0.0017 0.9922 instead of 0.9939, on 360 samples" in page.text


def test_skipped_variants_have_their_reason(page):
    """A variant that is not in the bundle is named with the reason."""
    assert "openvino-int8 refused by the gate" in page.text


def test_warnings_and_the_contract_are_shown(make_manifest):
    """What speaks against the figures stands on the page, and so do the contract's steps; neither can inject."""
    feature = Feature(name="image", kind="image", feeds="image", steps=(Scale(factor=0.5),))
    contract = Processing(inputs=(feature,), answer=Classify(output="logits"))
    manifest = replace(make_manifest(), warnings=("the contract looks like RGB", HOSTILE), processing=contract)
    page = Page(render_report(manifest))
    assert "the contract looks like RGB" in page.text
    assert "scale: " in page.text
    assert "Answers are read: classes of output logits" in page.text
    assert HOSTILE in page.text
    assert "img" not in page.tags


def test_names_cannot_inject(make_manifest):
    """Markup in any text of the manifest is shown as text, on the page and in the chart's data."""
    manifest = make_manifest(metric=HOSTILE, source=HOSTILE)
    skipped = (Skipped(id="a", format="onnx", precision="int4", reason=HOSTILE),)
    defaults = {"x86-64": Choice(variant="tflite-int8", reason=HOSTILE)}
    lineage = replace(manifest.lineage, tools={HOSTILE: HOSTILE}, platform=HOSTILE)
    html = render_report(replace(manifest, skipped=skipped, defaults=defaults, lineage=lineage))
    page = Page(html)
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert page.text.count(HOSTILE) >= 6
    assert HOSTILE not in html


def test_chart_data_is_json_that_ends_no_script(make_manifest):
    """The chart's data can be read back, and holds no "<" that could end the script element."""
    html = render_report(make_manifest(metric="</script>"))
    data = re.search(r"Object\.entries\((\{.*\})\)\) \{", html)[1]
    assert "<" not in data
    assert json.loads(data)["chart-0"]["layout"]["yaxis"]["title"]["text"] == "&lt;/script&gt;"


def test_without_a_metric_size_stands_against_latency(make_manifest):
    """Without labelled samples the chart shows the size, and the headline how many answers agree."""
    page = Page(render_report(make_manifest(metric=None)))
    assert "Size against latency" in page.text
    assert "Same answers 100.0% top-1, on 64 golden samples" in page.text
    assert "not measured" in page.text


def test_a_detector_is_shown_by_its_boxes(make_manifest):
    """Where boxes were compared, headline and table tell how many are found again."""
    manifest = make_manifest(metric=None)
    variants = tuple(replace(one, parity=replace(one.parity, top1_agreement=None, box_agreement=0.912)) for one in manifest.variants)
    page = Page(render_report(replace(manifest, variants=variants)))
    assert "Same boxes 91.2% found again, on 64 golden samples" in page.text
    assert page.text.count("91.2% of boxes") == len(variants)


def test_one_variant_alone_is_not_held_against_nothing(make_manifest):
    """With one variant the headline gives its own figures and says that there is nothing to hold it against."""
    page = Page(render_report(make_manifest(("tflite-int8",))))
    assert "Size 29.4 KiB onnx-fp32 was not measured, so there is nothing to hold it against." in page.text


def test_each_target_has_its_own_scene(make_manifest):
    """Measurements of two targets are never mixed: each target gets a headline, a chart and a table."""
    here, there = make_manifest(), make_manifest(target="raspberry-pi-5")
    both = tuple(replace(one, measured=one.measured + other.measured) for one, other in zip(here.variants, there.variants, strict=True))
    manifest = replace(here, variants=both, defaults=here.defaults | there.defaults)
    assert [scene.target for scene in find_scenes(manifest)] == ["x86-64", "raspberry-pi-5"]
    assert Page(render_report(manifest)).text.count("Accuracy against latency") == 2


def test_nothing_measured_needs_no_chart(make_manifest):
    """A manifest without measurements gives a page with its variants and without a script."""
    manifest = make_manifest()
    page = Page(render_report(replace(manifest, variants=tuple(replace(one, measured=()) for one in manifest.variants), defaults={})))
    assert "script" not in page.tags
    assert "Nothing was measured yet." in page.text
    assert "openvino-fp32" in page.text


def test_equal_manifests_give_equal_pages(make_manifest, tmp_path):
    """The report holds no clock: writing it twice gives the same bytes."""
    for name in ("first", "second"):
        write_report(make_manifest(), tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_without_plotly_it_says_what_to_install(make_manifest, monkeypatch):
    """Where plotly is missing, the refusal names the command that installs it."""
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(DeviceError, match=r"pip install 'edgekit\[convert\]'"):
        render_report(make_manifest())


def test_tag_escapes_text_and_attributes():
    """Text and attributes are escaped; only what is Html already is not."""
    assert tag("p", "<b>", Html("<i></i>"), class_='"') == '<p class="&quot;">&lt;b&gt;<i></i></p>'


def test_what_is_for_an_accelerator_stands_in_the_table_unmeasured(make_manifest):
    """A variant for NVIDIA is listed with its scheme, its engine's builder and its size, and never with a latency or in the headline."""
    manifest = make_manifest()
    engine = EngineRecipe(builder="tensorrt", minimum_version="10.0", maximum_version="11")
    changes = {"id": "nvidia-int8", "scheme": "static", "accelerator": "nvidia", "engine": engine, "measured": ()}
    files = (replace(manifest.variants[1].files[0], path="variants/nvidia-int8/model"),)
    for_nvidia = replace(manifest.variants[1], files=files, **changes)
    page = Page(render_report(replace(manifest, variants=(*manifest.variants, for_nvidia))))
    assert "nvidia-int8 int8 static, for nvidia, tensorrt 10.0 to 11 37.2 KiB not measured here" in page.text
    assert "On x86-64 the default is tflite-int8" in page.text
