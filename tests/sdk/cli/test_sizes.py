"""What is written for shapes and inputs is read as what was meant, or refused with what was expected."""

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.cli.sizes import BATCH, MAX_SIZE, parse_dtype, parse_input, parse_layout, parse_shape
from edgekit.tensors import DType, TensorSpec

NUMBERS = st.integers(1, MAX_SIZE)
AXES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
NAMES = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=40).filter(str.strip)


@given(name=NAMES, sizes=st.lists(NUMBERS | st.none(), min_size=1, max_size=6), joint=st.sampled_from("x,"))
def test_a_shape_is_read_as_it_was_written(name, sizes, joint):
    """Whatever the tensor is called, numbers and question marks joined by x or by commas come back."""
    text = joint.join("?" if size is None else str(size) for size in sizes)
    assert parse_shape(f"{name}={text}") == (name, tuple(sizes))


@given(name=NAMES, shape=st.lists(NUMBERS | AXES, min_size=1, max_size=6), dtype=st.sampled_from(get_args(DType)))
def test_an_input_with_commas_may_have_any_names(name, shape, dtype):
    """Joined by commas, sizes may have any name, even one with an x in it."""
    text = ",".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    assert parse_input(f"{name}={text}:{dtype}") == TensorSpec(name=name, dtype=dtype, shape=tuple(shape))


@given(shape=st.lists(AXES.filter(lambda name: "x" not in name), min_size=1, max_size=1), rest=st.lists(NUMBERS, max_size=5))
def test_an_input_with_x_may_name_what_stands_beside_numbers(shape, rest):
    """Joined by x, a name without an x is read as it is where no other name stands beside it."""
    text = "x".join(map(str, [*shape, *rest]))
    assert parse_input(f"image={text}").shape == (*shape, *rest)


@given(text=st.text(st.sampled_from("x,?1290abx_=:-"), max_size=12))
def test_nothing_ends_otherwise_than_in_sizes_or_a_refusal(text):
    """Any text is sizes of at least one, or a ValueError that says what was expected."""
    try:
        spec = parse_input(f"name={text}")
    except ValueError as error:
        assert "expected" in str(error) or "Known" in str(error) or "commas" in str(error)
        return
    assert all(isinstance(size, str) or size >= 1 for size in spec.shape)
    assert len(spec.shape) == text.rpartition("=")[2].partition(":")[0].replace("," if "," in text else "x", ",").removesuffix(",").count(",") + 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image=?x3x224x224:float32", TensorSpec(name="image", dtype="float32", shape=(BATCH, 3, 224, 224))),
        ("image=1x3x224x224", TensorSpec(name="image", dtype="float32", shape=(1, 3, 224, 224))),
        ("ids=batch,sequence:int64", TensorSpec(name="ids", dtype="int64", shape=("batch", "sequence"))),
        ("image=batchx3x8x8:uint8", TensorSpec(name="image", dtype="uint8", shape=("batch", 3, 8, 8))),
        ("serving_default_x:0=?x?", TensorSpec(name="serving_default_x:0", dtype="float32", shape=(BATCH, "serving_default_x_0_1"))),
    ],
)
def test_inputs_as_people_write_them(text, expected):
    """A question mark is the batch at the first axis, and a size of its own at any other."""
    assert parse_input(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ids=batchxsequence", "Put commas between sizes"),
        ("ids=max", "Put commas between sizes"),
        ("image", "an equals sign"),
        ("=1x3", "an equals sign"),
        ("image=", "an equals sign"),
        ("image=0x3", "'0' is no size"),
        ("image=-1x3", "'-1' is no size"),
        ("image=1xx3", "'' is no size"),
        ("image=1x3,4", "'1x3' is no size"),
        (f"image={MAX_SIZE + 1}", "is no size"),
        ("image=" + "9" * 5000, "is no size"),
        ("image=" + "x".join("1" * 33), "32 is the most"),
        ("image=1x3:float", "'float' is no dtype. Known: bool, int8"),
        ("n" * 257 + "=1", "longer than 256"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, told):
    """The refusal says what was expected."""
    with pytest.raises(ValueError, match=re.escape(told)):
        parse_input(text)


def test_a_shape_fixes_and_names_nothing():
    """A size that is to be fixed cannot be a name."""
    with pytest.raises(ValueError, match="'sequence' is a name"):
        parse_shape("ids=1,sequence")


def test_a_dtype_and_a_layout_are_read():
    """The input's name is what stands before the last equals sign."""
    assert parse_dtype("image=uint8") == ("image", "uint8")
    assert parse_layout("a=b=NCHW:NHWC") == ("a=b", ("NCHW", "NHWC"))


@pytest.mark.parametrize("text", ["image=NCHW", "image=NCHW:NHW", "image=NCHW:NHWX", "image=nchw:nhwc", "image=NNHW:NHNW", "NCHW:NHWC"])
def test_no_change_of_layout_is_refused(text):
    """Both layouts must have the same letters, each once."""
    with pytest.raises(ValueError, match="NCHW:NHWC"):
        parse_layout(text)
