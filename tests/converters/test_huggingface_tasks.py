"""What models of each kind take and give, by their configuration."""

from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit_converters.huggingface_tasks import describe_inputs, find_task, find_vocabulary, read_preprocessing


@pytest.mark.parametrize(
    ("architecture", "outputs"),
    [
        ("MobileNetV2ForImageClassification", ("logits",)),
        ("YolosForObjectDetection", ("logits", "pred_boxes")),
        ("BertModel", ("last_hidden_state", "pooler_output")),
        ("LlamaForCausalLM", ("logits",)),
        ("BertForQuestionAnswering", ("start_logits", "end_logits")),
    ],
)
def test_outputs_are_those_of_the_task(architecture: str, outputs: tuple[str, ...]) -> None:
    """A model's class ends in its task, which decides the outputs that are kept."""
    assert find_task(architecture, "model").outputs == outputs


def test_unknown_tasks_are_refused() -> None:
    """A class whose outputs are not known is refused by name, with what is known."""
    with pytest.raises(InputError, match=r"WhisperForConditionalGeneration.*ForCausalLM"):
        find_task("WhisperForConditionalGeneration", "model")


@pytest.mark.parametrize(
    ("config", "preprocessing", "shape"),
    [
        ({"image_size": 32, "num_channels": 1}, {}, ("batch", 1, 32, 32)),
        ({"image_size": [32, 48]}, {"size": {"height": 9, "width": 9}}, ("batch", 3, 32, 48)),
        ({}, {"crop_size": {"height": 64, "width": 80}, "size": {"shortest_edge": 90}}, ("batch", 3, 64, 80)),
        ({}, {"size": {"shortest_edge": 90}}, ("batch", 3, 90, 90)),
        ({}, {"size": {"longest_edge": 90}}, ("batch", 3, 224, 224)),
        ({}, {}, ("batch", 3, 224, 224)),
    ],
)
def test_pictures_have_the_size_of_the_weights(config, preprocessing, shape) -> None:
    """A picture's size is what the weights are made for, else what pictures are cropped or scaled to, else 224."""
    (spec,) = describe_inputs(config, "pixel_values", preprocessing, "model")
    assert spec.shape == shape


def test_texts_vary_in_number_and_length() -> None:
    """Tokens and their mask share the batch and the length."""
    specs = describe_inputs({}, "input_ids", {}, "model")
    assert [(spec.name, spec.dtype, spec.shape) for spec in specs] == [
        ("input_ids", "int64", ("batch", "sequence")),
        ("attention_mask", "int64", ("batch", "sequence")),
    ]


@pytest.mark.parametrize(
    ("config", "preprocessing", "shape"),
    [
        ({"num_mel_bins": 32, "max_length": 64}, {}, ("batch", 64, 32)),
        ({"num_mel_bins": 80, "max_source_positions": 1500}, {}, ("batch", 80, 3000)),
        ({}, {"sampling_rate": 8000}, ("batch", 8000)),
        ({}, {}, ("batch", 16000)),
    ],
)
def test_sound_is_a_spectrogram_or_a_second(config, preprocessing, shape) -> None:
    """Spectrograms have the frames and bands of the weights, and waves are a second long."""
    (spec,) = describe_inputs(config, "input_values", preprocessing, "model")
    assert spec.shape == shape


def test_other_inputs_are_refused() -> None:
    """A model that first wants points, say, is refused by that input's name."""
    with pytest.raises(InputError, match="'point_cloud'"):
        describe_inputs({}, "point_cloud", {}, "model")


def test_damaged_preprocessing_is_refused(tmp_path: Path) -> None:
    """A processor's configuration that is no JSON is refused by name; without one nothing is known of pictures."""
    assert read_preprocessing(tmp_path) == {}
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(InputError, match="preprocessor_config"):
        read_preprocessing(tmp_path)


def test_preprocessing_may_be_nested(tmp_path: Path) -> None:
    """What processor_config.json nests goes before what lies beside it, and one without a preprocessor says nothing."""
    (tmp_path / "preprocessor_config.json").write_text('{"size": 8}')
    (tmp_path / "processor_config.json").write_text('{"processor_class": "X"}')
    assert read_preprocessing(tmp_path) == {"size": 8}
    (tmp_path / "processor_config.json").write_text('{"image_processor": {"size": 16}}')
    assert read_preprocessing(tmp_path) == {"size": 16}


def test_vocabulary_is_the_configured_one() -> None:
    """Tokens are drawn from as many as the model knows, and where it does not say, from the two that every one has."""
    assert find_vocabulary({"vocab_size": 100}) == 100
    assert find_vocabulary({}) == 2
