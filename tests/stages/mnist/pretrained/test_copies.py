"""Copies of models: the same outputs, weights, names and flags; layers that stay shared; nothing left in common."""

from typing import Any

import numpy as np
import pytest

from stages.mnist.pretrained.copies import Copies, copy_of, has_graph, keras, layers_of
from tests.stages.mnist.pretrained.keras_models import FAMILIES, WIDTH, dense, outputs, state, trained

families = pytest.mark.parametrize("family", FAMILIES)


@families
def test_a_copy_gives_the_same_and_has_nothing_in_common(family: str) -> None:
    model = trained(family)
    before, given = state(model), outputs(model)
    copy = Copies().model(model)
    assert state(copy) == before
    assert all(map(np.array_equal, outputs(copy), given))
    assert (type(copy), copy.name, list(layers_of(copy))) == (type(model), model.name, list(layers_of(model)))
    for weight in copy.weights:
        weight.assign_add(weight)
    assert state(model) == before
    assert all(map(np.array_equal, outputs(model), given))
    assert not all(map(np.array_equal, outputs(copy), given))


@families
def test_a_copy_has_the_same_structure(family: str) -> None:
    model = trained(family)
    copy = Copies().model(model)
    assert (copy.input_shape, copy.output_shape) == (model.input_shape, model.output_shape)
    assert [tensor.name for tensor in copy.inputs] == [tensor.name for tensor in model.inputs]


def test_batch_normalisation_trains_as_before() -> None:
    model = trained("normed")
    copy = Copies().model(model)
    assert all(map(np.array_equal, outputs(copy, training=True), outputs(model, training=True)))
    assert state(copy) == state(model)
    assert state(copy) != state(trained("normed"))  # the statistics moved


@pytest.mark.parametrize("family", ["sequential", "branches"])
def test_dtypes_and_flags_are_kept(family: str) -> None:
    model = trained(family)
    name = next(iter(layers_of(model)))
    model.get_layer(name).dtype_policy = "float16"
    model.get_layer(name).trainable = False
    model.compile("sgd", "mse")
    copy = Copies().model(model)
    assert copy.get_layer(name).dtype_policy.name == "float16"
    assert [layer.name for layer in layers_of(copy).values() if not layer.trainable] == [name]
    assert (copy.compiled, model.compiled) == (False, True)


def test_a_layer_that_two_models_share_stays_one() -> None:
    found = layers_of(Copies().model(trained("nested")))
    assert list(found) == ["twin", "base", "base/twin", "base/tower", "base/tower/one", "base/tower/two", "last"]
    assert found["twin"] is found["base/twin"]


def test_each_layer_is_made_once_by_what_one_gives() -> None:
    made = list[str]()

    def make(layer: Any) -> Any:
        made.append(layer.name)
        return copy_of(layer, **({"activation": "relu"} if layer.name == "twin" else {}))

    copy = Copies(make).model(trained("shared"))
    assert [made.count(name) for name in ("a", "b", "twin", "last")] == [1, 1, 1, 1]
    assert copy.get_layer("twin").activation is keras.activations.relu


class OfItsOwn(keras.Model):  # type: ignore[misc]
    """A model whose graph only its code knows."""

    def call(self, x: Any) -> Any:
        return 2 * x


@pytest.mark.parametrize("make", [lambda: keras.Sequential([dense("d")], name="mine"), lambda: OfItsOwn(name="mine")])
def test_without_a_graph_there_is_no_copy(make: Any) -> None:
    assert not has_graph(make())
    with pytest.raises(ValueError, match="the model mine has no graph of layers: it is a class of its own, or not bui"):
        layers_of(make())


def test_a_model_of_its_own_class_is_a_layer_in_another_model() -> None:
    x = keras.Input((WIDTH,))
    copy = Copies().model(keras.Model(x, OfItsOwn(name="mine")(x)))
    assert type(copy.get_layer("mine")) is OfItsOwn
    assert np.asarray(copy(np.ones((1, WIDTH)))).tolist() == [[2] * WIDTH]


def test_what_keras_does_not_copy_is_refused() -> None:
    model = keras.Sequential([keras.Input((WIDTH,)), keras.layers.Lambda(lambda x: 2 * x)])
    with pytest.raises(ValueError, match="Lambda"):
        Copies().model(model)
