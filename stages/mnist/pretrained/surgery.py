"""Change a Keras model that is trained already: insert layers, add a regulariser, freeze layers.

Each function leaves the model that it is given as it is, and returns another one with copies of all weights, the moving
statistics of batch normalisation among them. Names, dtypes and `trainable` of layers are kept. The new model is not
compiled: compile it, since Keras settles at that moment which weights train.

A layer is given by its name; a layer `conv` of a nested model `base` is called "base/conv". Inputs are no such layers.
A layer that is called in several places stays one layer with one set of weights.

What has no graph cannot be changed: a model class with a `call` of its own, or a Sequential that is not built yet.
What Keras refuses to copy from its configuration is refused here too, such as a Lambda around a Python lambda.
"""

from collections.abc import Collection, Sequence
from typing import Any

from stages.mnist.pretrained.copies import Copies, Layer, Model, copy_of, keras, layers_of

__all__ = ["freeze", "identity_dense", "insert", "regularise"]


def insert(model: Model, layers: Sequence[Layer], *, after: str) -> Model:
    """A copy of `model` in which the output of the layer `after` passes through `layers`, one after another.

    Whoever read that output now reads what comes out of the last of `layers`, be it a layer or the caller of the model;
    an output of the model takes the name of that layer. If `after` is called in several places, `layers` follow each
    call, with the same weights everywhere. The objects `layers` become part of the copy.

    Raises:
        ValueError: there is no such layer, it gives several tensors, or one of `layers` has a name that is taken.
    """
    [place] = _find(model, [after])
    return Copies(place=place, inserted=layers).model(model)


def regularise(
    model: Model, regulariser: Any, *, layers: Collection[str], weights: Collection[str] = ("kernel",)
) -> Model:
    """A copy of `model` in whose `losses` the `weights` of `layers` count, each by `regulariser(weight)`.

    Keras reads `kernel_regularizer` only when it makes the weight; set on a layer that has its weights, it changes
    nothing. So the copy makes its weights with it, and what is saved or cloned later has it as well. A weight counts
    once, however often its layer is called, and only while it trains. The regulariser that it had before goes.

    Raises:
        ValueError: there is no such layer, or it has no setting `<weight>_regularizer`.
    """
    settings = {f"{weight}_regularizer": regulariser for weight in weights}
    chosen = _find(model, layers)
    for layer in chosen:
        for setting in settings.keys() - layer.get_config().keys():
            raise ValueError(f"the layer {layer.name} ({type(layer).__name__}) has no setting {setting}")
    ids = {id(layer) for layer in chosen}
    return Copies(lambda layer: copy_of(layer, **(settings if id(layer) in ids else {}))).model(model)


def freeze(model: Model, *, layers: Collection[str]) -> Model:
    """A copy of `model` in which `layers` do not train. Of a nested model, none of its layers does.

    Frozen batch normalisation uses its moving statistics in training too, and does not change them. A graph that calls
    it with `training=False` is not enough: Keras 3 overrules that where the whole model trains.

    Raises:
        ValueError: there is no such layer.
    """
    _find(model, layers)
    copy = Copies().model(model)
    for layer in _find(copy, layers):
        layer.trainable = False
    return copy


def identity_dense(width: int, **settings: Any) -> Layer:
    """A dense layer that starts as the identity, kernel I and bias 0, for inputs whose last axis is `width` long.

    With no activation it gives back every finite input, and with ReLU every input that is nowhere negative, as after
    another ReLU; with other activations it is near the identity at best. Sums of zeros and one value are exact, unless
    the device rounds factors, as some GPUs do (TF32).
    """
    return keras.layers.Dense(width, kernel_initializer="identity", bias_initializer="zeros", **settings)


def _find(model: Model, names: Collection[str]) -> list[Layer]:
    layers = layers_of(model)
    for name in names:
        if name not in layers:
            raise ValueError(f"there is no layer {name}; there are {', '.join(layers)}")
    return [layers[name] for name in names]
