"""The processing contract: what makes tensors of a picture, a sound, a text or a table, and what makes words of the answers.

A manifest declares it, and edgekit.processing carries it out with the same code on the workstation and on every device. Each
step says what libraries leave open: which interpolation, with antialiasing or without, which order of channels, which mel scale.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from edgekit.artifacts import FileEntry
from edgekit.records import Record, RelativePath, Share
from edgekit.tensors import TensorName

Task = Literal["classify", "detect", "segment", "audio", "embed", "anomaly", "text", "transcribe"]
#: What callers give: a picture, a sound, a text, or rows of figures.
Kind = Literal["image", "audio", "text", "series"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "area"]
Activation = Literal["none", "softmax", "sigmoid"]
Side = Annotated[int, Meta(ge=1, le=16_384)]
Count = Annotated[int, Meta(ge=1, le=1 << 24)]
Rate = Annotated[int, Meta(ge=1, le=1_000_000)]
Positive = Annotated[float, Meta(gt=0)]
PerChannel = Annotated[tuple[float, ...], Meta(min_length=1, max_length=64)]
#: The most labels, and the longest of them.
Label = Annotated[str, Meta(min_length=1, max_length=200)]
Labels = Annotated[tuple[Label, ...], Meta(max_length=100_000)]


class _Step(Record, frozen=True, kw_only=True, tag_field="step"):
    """One step, named by its field ``step``."""


class Resize(_Step, frozen=True, kw_only=True, tag="resize"):
    """Make a picture *width* x *height*.

    ``stretch`` gives up its proportions. ``cover`` keeps them, and both sides are at least that long; ``contain`` too, and
    none is longer; ``letterbox`` fills what ``contain`` leaves with *fill*, around the picture or beside it, as *anchor* says.
    With *antialias* each pixel is a mean over all that it stands for, as Pillow does it; without, OpenCV looks at the nearest
    few alone. ``area`` is OpenCV's mean over areas, and takes no other.
    """

    width: Side
    height: Side
    fit: Literal["stretch", "cover", "contain", "letterbox"] = "stretch"
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    fill: Annotated[tuple[Annotated[int, Meta(ge=0, le=255)], ...], Meta(min_length=1, max_length=3)] = (0,)
    anchor: Literal["centre", "corner"] = "centre"


class Crop(_Step, frozen=True, kw_only=True, tag="crop"):
    """Cut *width* x *height* out of the middle of a picture; one that is smaller gets a border of zeros."""

    width: Side
    height: Side


class Color(_Step, frozen=True, kw_only=True, tag="color"):
    """The order of channels. Pictures come as RGB; GRAY is the luma of ITU-R BT.601, in one channel."""

    order: Literal["RGB", "BGR", "GRAY"]


class Scale(_Step, frozen=True, kw_only=True, tag="scale"):
    """Each value times *factor*, plus *offset*, as float32."""

    factor: float
    offset: float = 0.0


class Normalize(_Step, frozen=True, kw_only=True, tag="normalize"):
    """Each value less *mean*, divided by *std*: one for each channel (the last axis), or one for all."""

    mean: PerChannel
    std: Annotated[tuple[Positive, ...], Meta(min_length=1, max_length=64)]


class Layout(_Step, frozen=True, kw_only=True, tag="layout"):
    """The axes of one sample: ``CHW`` or ``HWC``; ``HW`` drops the channel of a grey picture."""

    axes: Literal["CHW", "HWC", "HW"]


class Reshape(_Step, frozen=True, kw_only=True, tag="reshape"):
    """The shape of one sample, its values in the same order; -1 stands for what is left."""

    shape: Annotated[tuple[Annotated[int, Meta(ge=-1, le=1 << 24)], ...], Meta(max_length=16)]


class Quantize(_Step, frozen=True, kw_only=True, tag="quantize"):
    """To integers: round(value / *scale*) + *zero_point*, halves to even, clipped to the range of *dtype*."""

    dtype: Literal["int8", "uint8", "int16"]
    scale: Positive
    zero_point: int = 0


class Cast(_Step, frozen=True, kw_only=True, tag="cast"):
    """To another dtype; what is no integer is rounded, halves to even, and clipped."""

    dtype: Literal["uint8", "int8", "int16", "int32", "int64", "float16", "float32"]


class Level(_Step, frozen=True, kw_only=True, tag="level"):
    """Each sample at a level of its own, as float32: divided by its highest value (``maximum``) or its highest absolute one (``peak``).

    Either is taken to be *epsilon* at least. By ``deviation`` it loses its mean, and is divided by sqrt(variance + *epsilon*).
    """

    by: Literal["maximum", "peak", "deviation"] = "peak"
    epsilon: Positive = 1e-7


class Transpose(_Step, frozen=True, kw_only=True, tag="transpose"):
    """The axes of one sample in another order: the first of *axes* says which of its axes becomes the first (numpy.transpose)."""

    axes: Annotated[tuple[Annotated[int, Meta(ge=0, le=15)], ...], Meta(min_length=2, max_length=16)]


class Resample(_Step, frozen=True, kw_only=True, tag="resample"):
    """A sound, mixed down to one channel, at *rate* samples a second. Samples are floats from -1 to 1."""

    rate: Rate


class Fit(_Step, frozen=True, kw_only=True, tag="fit"):
    """Exactly *length* along the first axis (samples, frames or rows): what is longer is cut, what is shorter filled with *fill*.

    *place* is where what is kept lies. With *only*, what is shorter is left as it is (``cut``), or what is longer (``fill``).
    """

    length: Count
    place: Literal["start", "middle", "end"] = "start"
    fill: float = 0.0
    only: Literal["cut", "fill"] | None = None


class Windows(_Step, frozen=True, kw_only=True, tag="windows"):
    """Pieces of *length* along the first axis, every *hop*: each is a sample of its own. A last piece that is shorter is left out."""

    length: Count
    hop: Count


class Spectrogram(_Step, frozen=True, kw_only=True, tag="spectrogram"):
    """Frames of *frame* samples every *hop*, each under *window*, filled with zeros to *fft* and transformed: (frames, fft // 2 + 1).

    With *centre* the first frame lies around the first sample, beyond which the sound is mirrored or, by *pad*, silent; without,
    every frame lies inside. The magnitude is raised to *power*. *periodic* windows are those for spectra (scipy.signal.get_window).
    *preemphasis* takes so much of each sample's predecessor away: in the whole ``sound``, whose first sample stays, or in each
    ``frame``, whose first one is taken for its own predecessor, as Kaldi does it. With *remove_mean* each frame loses its mean before that.
    """

    frame: Count
    hop: Count
    fft: Count
    window: Literal["hann", "hamming", "blackman", "povey", "ones"] = "hann"
    periodic: bool = True
    centre: bool = False
    pad: Literal["reflect", "zeros"] = "reflect"
    power: Literal[1, 2] = 2
    preemphasis: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    preemphasis_in: Literal["sound", "frame"] = "sound"
    remove_mean: bool = False


class Filterbank(_Step, frozen=True, kw_only=True, tag="filterbank"):
    """*bands* triangles between *low* and *high* Hz on the mel scale *scale*: (frames, bands).

    ``slaney`` and ``htk`` are those of librosa.filters.mel, ``tensorflow`` is tf.signal.linear_to_mel_weight_matrix, and
    ``kaldi`` that of its fbank. With *norm* ``slaney`` each triangle has the same area.
    """

    rate: Rate
    bands: Annotated[int, Meta(ge=1, le=4096)]
    low: Annotated[float, Meta(ge=0)]
    high: Positive
    scale: Literal["slaney", "htk", "tensorflow", "kaldi"] = "slaney"
    norm: Literal["none", "slaney"] = "none"


class Log(_Step, frozen=True, kw_only=True, tag="log"):
    """The logarithm of what is at least *floor*, after *offset* was added: natural, to the base 10, or 10 log10 in decibels.

    Nothing is taken for less than the smallest normal float32 (1.18e-38), so that silence stays finite.
    *below_max* lifts what is further below the highest value of the sample than that.
    """

    base: Literal["e", "10", "db"] = "e"
    floor: Annotated[float, Meta(ge=0)] = 0.0
    offset: Annotated[float, Meta(ge=0)] = 0.0
    below_max: Positive | None = None


class Cepstrum(_Step, frozen=True, kw_only=True, tag="cepstrum"):
    """The first *coefficients* of each frame's cosine transform (DCT-II, as scipy.fft.dct has it; ``ortho`` makes it orthonormal).

    Those of tf.signal.mfccs_from_log_mel_spectrograms are ``none`` with a Scale of 1 / sqrt(2 bands) after it.
    """

    coefficients: Annotated[int, Meta(ge=1, le=4096)]
    norm: Literal["none", "ortho"] = "ortho"


class Stack(_Step, frozen=True, kw_only=True, tag="stack"):
    """Each *frames* neighbouring frames as one vector, every *hop* frames: each is a sample of its own."""

    frames: Annotated[int, Meta(ge=1, le=4096)]
    hop: Count = 1


class Tokenize(_Step, frozen=True, kw_only=True, tag="tokenize"):
    """The numbers of a text's tokens, by the tokeniser in the bundle's *file* (Hugging Face ``tokenizer.json``).

    Exactly *length* of them where it is given: what is longer is cut, what is shorter filled with the token *fill*. Where only
    *most* is given, what is longer is cut, and nothing filled. *feeds* says which of the model's inputs gets what: the numbers,
    1 for each token that is none of the filling, or the number of the sentence.
    """

    file: RelativePath
    length: Annotated[int, Meta(ge=1, le=1 << 20)] | None = None
    most: Annotated[int, Meta(ge=1, le=1 << 20)] | None = None
    fill: Annotated[int, Meta(ge=0, le=(1 << 31) - 1)] = 0
    feeds: dict[TensorName, Literal["ids", "mask", "types"]]


# fmt: off
Step: TypeAlias = (
    Resize | Crop | Color | Scale | Normalize | Level | Layout | Transpose | Reshape | Quantize | Cast
    | Resample | Fit | Windows | Spectrogram | Filterbank | Log | Cepstrum | Stack | Tokenize
)
# fmt: on


class Feature(Record, frozen=True, kw_only=True):
    """What callers give under *name*, and how it becomes the model's input *feeds* (of a text, what its Tokenize step says).

    *columns* are those of a series, in order.
    """

    name: TensorName
    kind: Kind
    feeds: TensorName | None = None
    columns: tuple[Label, ...] = ()
    steps: Annotated[tuple[Step, ...], Meta(max_length=64)] = ()


class _Reading(Record, frozen=True, kw_only=True, tag_field="read"):
    """How answers are read, named by its field ``read``."""


class Classify(_Reading, frozen=True, kw_only=True, tag="classes"):
    """Scores for each class in *output*: those of the *top* classes that reach *threshold*, the highest first.

    Scores go through *activation* first, along the last axis. Over all samples that one item gives, they are the mean.
    """

    output: TensorName
    activation: Activation = "none"
    top: Annotated[int, Meta(ge=1, le=100_000)] = 5
    threshold: float | None = None


class Detect(_Reading, frozen=True, kw_only=True, tag="boxes"):
    """Boxes with a class and a score each.

    *layout* says where they lie: ``split``: *boxes* (n, 4) and *scores* (n, classes); ``classified``: *boxes* (n, 4), *scores* (n) and
    *classes* (n), as a TFLite detector with its own post-processing gives them, with their number in *counts*; ``yolo``:
    *boxes* alone, (4 + classes, n), as Ultralytics exports it, and ``yolo-objectness`` (n, 5 + classes).

    *form* is what four numbers are, *unit* whether they are pixels of the model's picture or shares of it. Scores go through
    *activation*, and each box has the class with the highest; the class *background*, counted from the end where negative, is
    none, and the others keep their numbers. *first_class* is what the number 0 in *classes* stands for.
    What reaches *threshold* is kept, and of boxes of one class that overlap by more than *iou* the highest alone, where that is
    given; at most *most* of them.
    """

    boxes: TensorName
    scores: TensorName | None = None
    classes: TensorName | None = None
    counts: TensorName | None = None
    layout: Literal["split", "classified", "yolo", "yolo-objectness"] = "split"
    form: Literal["xyxy", "yxyx", "cxcywh", "xywh"] = "xyxy"
    unit: Literal["pixels", "shares"] = "pixels"
    activation: Activation = "none"
    background: int | None = None
    first_class: int = 0
    threshold: Share = 0.25
    iou: Share | None = 0.45
    most: Annotated[int, Meta(ge=1, le=10_000)] = 300


class Segment(_Reading, frozen=True, kw_only=True, tag="mask"):
    """A class for each pixel of the caller's picture: the highest along *axis* of *output*, one sample of which is (C, H, W) or (H, W, C).

    Each pixel has the class of the cell in which its middle lies, and -1 where the model did not see it.
    """

    output: TensorName
    axis: Literal["first", "last"] = "first"


class Embed(_Reading, frozen=True, kw_only=True, tag="embedding"):
    """One vector: *output*, of (tokens, size) the mean over the tokens that are none of the filling, or the first; of length 1 where *normalize*.

    Over all samples that one item gives, it is their mean.
    """

    output: TensorName
    pool: Literal["none", "mean", "first"] = "none"
    normalize: bool = True


class Anomaly(_Reading, frozen=True, kw_only=True, tag="anomaly"):
    """How far *output* is from the model's input *of*, or *output* itself where that is None; above *threshold* it is one.

    Over all samples that one sound gives, it is their mean.
    """

    output: TensorName
    of: TensorName | None = None
    distance: Literal["mse", "mae"] = "mse"
    threshold: float | None = None


class Transcribe(_Reading, frozen=True, kw_only=True, tag="ctc"):
    """A text: the highest label of each step of *output* (steps, labels), repetitions taken as one and *blank* left out.

    The best path of connectionist temporal classification (Graves et al. 2006). *space* is the label that stands for a space.
    The steps of all samples that one item gives are one path.
    """

    output: TensorName
    blank: Annotated[int, Meta(ge=0)] = 0
    space: Label | None = None


Reading: TypeAlias = Classify | Detect | Segment | Embed | Anomaly | Transcribe


class Processing(Record, frozen=True, kw_only=True):
    """The whole contract: *inputs* is what callers give, *answer* what they get; None leaves the tensors as they are.

    *labels* names the classes by their numbers. *files* lie in the bundle, as a tokeniser does.
    """

    task: Task | None = None
    inputs: Annotated[tuple[Feature, ...], Meta(max_length=16)] = ()
    answer: Reading | None = None
    labels: Labels = ()
    files: tuple[FileEntry, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [feature.name for feature in self.inputs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"each input must be named once, and {', '.join(twice)} is named more often")

    def name_class(self, index: int) -> str:
        """The label of class *index*, or its number where it has none."""
        return self.labels[index] if 0 <= index < len(self.labels) else str(index)
