import pytest

from edgekit.cli.main import run_command
from edgekit.cli.report import report


def run(*argv):
    with pytest.raises(SystemExit) as stop:
        run_command(report, [str(word) for word in argv], program="edgekit report")
    return stop.value.code


def test_the_report_is_written_where_asked(small_bundle, tmp_path, capsys):
    """The page goes to -o, and its path to stdout."""
    path = tmp_path / "pages" / "digits.html"
    assert run(small_bundle.root, "-o", path) == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert "<h1>digits</h1>" in path.read_text(encoding="utf-8")


def test_the_report_is_written_into_the_bundle_by_default(small_bundle):
    """Without -o the page lies beside the manifest, and the bundle is still a bundle."""
    assert run(small_bundle.root) == 0
    assert (small_bundle.root / "report.html").is_file()
    assert run(small_bundle.root) == 0


def test_a_tampered_bundle_gets_no_report(small_bundle, tmp_path):
    """A bundle whose bytes are not its manifest's ends with code 4, and no page is written."""
    (small_bundle.root / "golden.npz").write_bytes(b"other")
    assert run(small_bundle.root, "-o", tmp_path / "page.html") == 4
    assert not (tmp_path / "page.html").exists()


def test_the_card_is_written_instead(small_bundle, tmp_path, capsys):
    """With --card it is the model card that is written, beside the manifest or where -o says."""
    assert run(small_bundle.root, "--card") == 0
    assert (small_bundle.root / "MODEL_CARD.md").read_text(encoding="utf-8").startswith("# digits\n")
    assert run(small_bundle.root, "--card", "-o", tmp_path / "card.md") == 0
    assert capsys.readouterr().out == f"{small_bundle.root / 'MODEL_CARD.md'}\n{tmp_path / 'card.md'}\n"
    assert not (small_bundle.root / "report.html").exists()
