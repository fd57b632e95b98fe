"""Run by ``test_engine_keras.py`` in a process of its own: Keras on JAX, the same weights, the same batches.

Usage: keras_engine_reference.py INPUT.npz OUTPUT.npz
"""

import json
import os
import sys

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np


def network(case):
    widths, penalty = case["widths"], keras.regularizers.L1L2(l1=case["l1"], l2=case["l2"])
    x = h = keras.Input((widths[0],))
    for i, width in enumerate(widths[1:]):
        z = keras.layers.Dense(width, use_bias=case["bias"], kernel_regularizer=penalty, name=f"dense_{i}")(h)
        if i == len(widths) - 2:
            return keras.Model(x, z)
        if case["norm"] == "layer":
            z = keras.layers.LayerNormalization(name=f"norm_{i}")(z)
        if case["norm"] == "batch":
            z = keras.layers.BatchNormalization(name=f"norm_{i}")(z)
        a = keras.layers.Activation(case["activation"])(z)
        h = keras.layers.Add()([a, h]) if case["residual"] and widths[i] == width else a
    raise AssertionError


def optimizer(case):
    name, rate, clip = case["optimizer"], case["learning_rate"], case["clip_norm"]
    if name in ("sgd", "momentum"):
        return keras.optimizers.SGD(rate, momentum=0.9 if name == "momentum" else 0.0, global_clipnorm=clip)
    if name == "adam":
        return keras.optimizers.Adam(rate, global_clipnorm=clip)
    return keras.optimizers.AdamW(rate, weight_decay=0.004, global_clipnorm=clip)


def curves(case, arrays):
    model = network(case)
    for layer in model.layers:
        kind, _, index = layer.name.partition("_")
        if kind == "dense":
            bias = [arrays[f"{index}/bias"]] if case["bias"] else []
            layer.set_weights([arrays[f"{index}/weight"].T, *bias])
    classes = case["loss"] == "cross_entropy"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classes else "mse"
    model.compile(optimizer(case), loss, metrics=["accuracy"] if classes else [])
    out = {name: [] for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy")}
    test_rows = len(arrays["x_test"])
    for order in arrays["order"]:
        # train_on_batch gives the batch's own loss and accuracy; fit reports their mean, weighted by rows.
        batches = [order[i : i + case["batch_size"]] for i in range(0, len(order), case["batch_size"])]
        logs = [model.train_on_batch(arrays["x_train"][b], arrays["y_train"][b], return_dict=True) for b in batches]
        share = np.array([len(b) for b in batches]) / len(order)
        test = model.evaluate(arrays["x_test"], arrays["y_test"], batch_size=test_rows, verbose=0, return_dict=True)
        for metric in ("loss", "accuracy"):
            out[f"train_{metric}"].append(share @ [log.get(metric, np.nan) for log in logs])
            out[f"test_{metric}"].append(test.get(metric, np.nan))
    return out


def main():
    given = np.load(sys.argv[1])
    result = {}
    for name, case in json.loads(str(given["cases"])).items():
        arrays = {key.removeprefix(f"{name}:"): given[key] for key in given.files if key.startswith(f"{name}:")}
        for curve, values in curves(case, arrays).items():
            result[f"{name}:{curve}"] = np.asarray(values, np.float64)
    np.savez(sys.argv[2], **result)


if __name__ == "__main__":
    main()
