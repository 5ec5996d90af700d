"""Keras models of every shape that surgery must cope with. All tensors between layers have the shape (N, 4)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.mnist.pretrained.copies import keras

WIDTH = 4
layers = keras.layers


def dense(name: str, **settings: Any) -> Any:
    return layers.Dense(WIDTH, name=name, **settings)


def sequential() -> Any:
    return keras.Sequential(
        [
            keras.Input((WIDTH,), name="x"),
            dense("first", activation="relu"),
            layers.Dropout(0.5, name="drop"),
            dense("last"),
        ]
    )


def built_late() -> Any:
    """A Sequential without an input, which knows its shapes since it was called."""
    model = keras.Sequential([dense("first"), dense("last")])
    model(np.zeros((1, WIDTH), np.float32))
    return model


def branches() -> Any:
    """Two inputs, two branches that meet in operations that are no layers, two named outputs."""
    a, b = keras.Input((WIDTH,), name="a"), keras.Input((WIDTH,), name="b")
    left, right = dense("left", activation="relu")(a), dense("right")(b)
    met = layers.Concatenate(name="met")([left, right]) * 2
    narrow = dense("narrow")(met)
    return keras.Model({"a": a, "b": b}, {"sum": narrow + left, "right": right})


def shared() -> Any:
    """One layer in three places, once after itself."""
    a, b = keras.Input((WIDTH,), name="a"), keras.Input((WIDTH,), name="b")
    twin = dense("twin", activation="tanh")
    return keras.Model([a, b], dense("last")(twin(twin(a)) - twin(b)))


def normed() -> Any:
    x = keras.Input((WIDTH,), name="x")
    y = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(dense("first")(x)))
    y = layers.BatchNormalization(name="fixed")(y, training=False)
    return keras.Model(x, dense("last")(y))


def nested() -> Any:
    """A model in a model, which shares a layer with it, and a Sequential in that."""
    twin = dense("twin")
    inside = keras.Input((WIDTH,), name="inside")
    tower = keras.Sequential([keras.Input((WIDTH,)), dense("one"), layers.BatchNormalization(name="two")], name="tower")
    base = keras.Model(inside, tower(twin(inside)) + inside, name="base")
    x = keras.Input((WIDTH,), name="x")
    return keras.Model(x, dense("last")(base(base(twin(x)), training=False)))


def by_chance(seed: int) -> Any:
    """A graph in which each of eight steps reads one or two tensors that are there, by a new layer or one of before."""
    generator = np.random.default_rng(seed)
    inputs = [keras.Input((WIDTH,), name=name) for name in "ab"]
    tensors, made = [*inputs], [dense("dense", activation="relu")]
    for step in range(8):
        one, other = (tensors[place] for place in generator.integers(len(tensors), size=2))
        kind = generator.integers(4)
        if kind == 0:
            tensors.append(one + other)
            continue
        if kind == 1:
            made.append(dense(f"dense_of_{step}"))
        if kind == 2:
            made.append(layers.BatchNormalization(name=f"norm_of_{step}"))
        tensors.append(made[-1 if kind < 3 else generator.integers(len(made))](one))
    return keras.Model(inputs, [dense("last")(tensors[-1]), layers.Add(name="sum")([*inputs, *tensors[-2:]])])


FAMILIES = {make.__name__: make for make in (sequential, built_late, branches, shared, normed, nested)} | {
    f"by_chance_{seed}": lambda seed=seed: by_chance(seed) for seed in range(8)
}


def trained(name: str) -> Any:
    """A model of `name` with weights and moving statistics that no layer starts with."""
    model, generator = FAMILIES[name](), np.random.default_rng(7)
    for weight in model.weights:
        weight.assign(generator.uniform(0.5, 1.5, weight.shape) * (1 if "variance" in weight.name else -1))
        weight.assign(weight * generator.choice([1, 1 if "variance" in weight.name else -1], weight.shape))
    return model


def outputs(model: Any, **settings: Any) -> list[NDArray[np.float32]]:
    """What `model` makes of three rows, each of its outputs."""
    generator = np.random.default_rng(8)
    rows = {tensor.name: generator.normal(size=(3, WIDTH)).astype(np.float32) for tensor in model.inputs}
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    given = keras.tree.map_structure(lambda tensor: rows[tensor.name], structure)
    return [np.asarray(one) for one in keras.tree.flatten(model(given, **settings))]


def state(model: Any) -> list[tuple[str, bool, list[float]]]:
    """Each weight: its path, whether it trains, its values."""
    return [(weight.path, weight.trainable, weight.numpy().ravel().tolist()) for weight in model.weights]
