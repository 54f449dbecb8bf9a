"""Writes small models of TensorFlow and Keras: python make_tensorflow_models.py DIRECTORY, in the environment ``tensorflow``.

The tests make them where they need them. Three TFLite files of it lie beside this file, since what looks at them needs no
TensorFlow: ``lstm.tflite``, ``half.tflite`` and ``stateful.tflite``.
"""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
import tf_keras

layers = keras.layers


def write_keras(directory):
    image = keras.Input((16, 16, 3), name="image")
    features = layers.Conv2D(8, 3, padding="same", use_bias=False)(layers.Rescaling(1 / 8)(image))
    features = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(layers.BatchNormalization()(features))
    pictures = keras.Model(image, layers.Dense(5, activation="softmax", name="scores")(layers.GlobalAveragePooling2D()(features)))
    pictures.save(directory / "pictures.keras")
    pictures.save_weights(directory / "only.weights.h5")
    pictures.export(directory / "pictures", verbose=False)
    # Two inputs and two outputs whose names are not in the order of the alphabet.
    right, left = keras.Input((6,), name="right"), keras.Input((6,), name="left")
    hidden = layers.Dense(5, activation="tanh")(layers.Subtract()([right, left]))
    zeta, alpha = layers.Dense(3, name="zeta")(hidden), layers.Dense(3, name="alpha")(layers.Concatenate()([hidden, left]))
    keras.Model([right, left], [zeta, alpha]).save(directory / "pair.keras")
    window = keras.Input((12, 4), name="window")
    keras.Model(window, layers.Dense(3, name="scores")(layers.LSTM(8)(window))).save(directory / "windows.keras")
    row = keras.Input((6,), name="row")
    keras.Model(row, layers.Dense(3, name="scores")(layers.Lambda(lambda tensor: tensor * 2)(row))).save(directory / "lambda.keras")


def write_old_keras(directory):
    row = tf_keras.Input((6,), name="row")
    tf_keras.Model(row, tf_keras.layers.Dense(3, name="scores")(tf.nn.relu(row) * 2.0)).save(directory / "functions.h5")
    twice = tf_keras.layers.Lambda(lambda tensor: tensor * 2)(row)
    tf_keras.Model(row, tf_keras.layers.Dense(3, name="scores")(twice)).save(directory / "lambda.h5")


ROW = [tf.TensorSpec((None, 6), tf.float32, name="row")]


class Plain(tf.Module):
    """A matrix."""

    def __init__(self):
        self.weights = tf.Variable(tf.random.stateless_normal((6, 3), (1, 2)))

    @tf.function(input_signature=ROW)
    def serve(self, row):
        return {"scores": row @ self.weights}


class Counting(Plain):
    """A matrix, and the number of calls."""

    def __init__(self):
        super().__init__()
        self.calls = tf.Variable(0.0)

    @tf.function(input_signature=ROW)
    def serve(self, row):
        self.calls.assign_add(1.0)
        return {"scores": row @ self.weights + self.calls}


class Saving(Plain):
    """A matrix, and a checkpoint of each input."""

    @tf.function(input_signature=ROW)
    def serve(self, row):
        tf.raw_ops.SaveV2(prefix="stolen", tensor_names=["row"], shape_and_slices=[""], tensors=[row])
        return {"scores": row @ self.weights}


class Calling(Plain):
    """A function of Python."""

    @tf.function(input_signature=ROW)
    def serve(self, row):
        return {"scores": tf.py_function(lambda tensor: tensor * 2, [row], tf.float32)}


def write_saved_models(directory):
    for name, module in {"plain": Plain(), "counting": Counting(), "saving": Saving(), "calling": Calling()}.items():
        tf.saved_model.save(module, directory / name, signatures={"serving_default": module.serve})
    plain = Plain()
    tf.saved_model.save(plain, directory / "several", signatures={"first": plain.serve, "second": plain.serve})


def write_tflite(directory):
    window = tf_keras.Input(batch_shape=(1, 12, 4), name="window")
    recurrent = tf_keras.Model(window, tf_keras.layers.Dense(3, name="scores")(tf_keras.layers.LSTM(8)(window)))
    recurrent.export(directory / "recurrent")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(directory / "recurrent"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    rng = np.random.default_rng(0)
    converter.representative_dataset = lambda: ([rng.normal(size=(1, 12, 4)).astype(np.float32)] for _ in range(16))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (directory / "lstm.tflite").write_bytes(converter.convert())
    converter = tf.lite.TFLiteConverter.from_saved_model(str(directory / "pictures"))
    converter.optimizations, converter.target_spec.supported_types = [tf.lite.Optimize.DEFAULT], [tf.float16]
    (directory / "half.tflite").write_bytes(converter.convert())
    converter = tf.lite.TFLiteConverter.from_saved_model(str(directory / "counting"))
    converter.experimental_enable_resource_variables = True
    (directory / "stateful.tflite").write_bytes(converter.convert())


def main():
    directory = Path(sys.argv[1])
    keras.utils.set_random_seed(1)
    for write in (write_keras, write_old_keras, write_saved_models, write_tflite):
        write(directory)


if __name__ == "__main__":
    main()
