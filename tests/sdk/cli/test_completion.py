import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = str(Path(sys.executable).with_name("edgekit"))


def run(*argv, **variables):
    return subprocess.run([PROGRAM, *argv], env=os.environ | variables, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_names_the_program_and_its_variable(shell):
    """The script for each shell calls edgekit back with the variable that edgekit answers to."""
    script = run("completion", shell)
    assert f"_EDGEKIT_COMPLETE={shell}_complete" in script
    assert "edgekit" in script


def test_commands_are_completed():
    """What the script asks for is answered with the commands that begin so."""
    answer = run(_EDGEKIT_COMPLETE="bash_complete", COMP_WORDS="edgekit ins", COMP_CWORD="1")
    assert answer.split() == ["plain,inspect"]


def test_options_of_a_command_are_completed():
    """Options are completed within a command."""
    answer = run(_EDGEKIT_COMPLETE="bash_complete", COMP_WORDS="edgekit convert --ma", COMP_CWORD="2")
    assert answer.split() == ["plain,--max-drop"]


def test_bash_accepts_its_script():
    """Bash reads its script without an error."""
    subprocess.run(["bash", "-n"], input=run("completion", "bash"), text=True, check=True, timeout=60)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("convert --target raspberry-pi-z", "raspberry-pi-zero-2w"),
        ("convert --precision int8-d", "int8-dynamic"),
        ("convert --precision fp32,int8-d", "fp32,int8-dynamic"),
        ("convert --to onn", "onnx"),
        ("target show coral", "coral-edgetpu"),
        ("evaluate --kind mas", "masks"),
        ("evaluate --metric map50-", "map50-95"),
        ("data check --kind class", "class-folders"),
    ],
)
def test_names_are_completed_also_in_lists(words, completed):
    """Targets, precisions and formats are completed, each name of a comma list too."""
    answer = run(_EDGEKIT_COMPLETE="bash_complete", COMP_WORDS=f"edgekit {words}", COMP_CWORD=str(len(words.split())))
    assert answer.split() == [f"plain,{completed}"]


def test_variants_of_the_bundle_are_completed(small_bundle):
    """Behind a bundle its variants are completed, and behind what is none nothing is."""
    variant = small_bundle.manifest.variants[0].id
    for bundle, completed in ((small_bundle.root, [f"plain,{variant}"]), (small_bundle.root.parent, [])):
        words = f"edgekit infer {bundle} --variant {variant[:-1]}"
        assert run(_EDGEKIT_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD="4").split() == completed
