"""Copies of Keras models that differ in what one asks for; stages.mnist.pretrained.surgery says for what.

A Sequential stays one; every other model with a graph is copied as a plain functional one. No copy is compiled.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from stages.mnist.network import tf

__all__ = ["Copies", "Layer", "Model", "copy_of", "has_graph", "keras", "layers_of"]

keras = tf.keras
Layer: TypeAlias = Any  # keras.Layer, or an operation of a graph, such as x + y; Keras has no types
Model: TypeAlias = Any  # keras.Model
Tensor: TypeAlias = Any


def has_graph(layer: Layer) -> bool:
    """Whether it is a model of which Keras knows which layer reads which."""
    return (isinstance(layer, keras.Sequential) and layer.built) or hasattr(layer, "operations")


def layers_of(model: Model) -> dict[str, Layer]:
    """The layers of `model` by name, without inputs; those of a nested model `base` follow it as "base/…".

    Raises:
        ValueError: the model has no graph.
    """
    if not has_graph(model):
        raise ValueError(f"the model {model.name} has no graph of layers: it is a class of its own, or not built yet")
    found: dict[str, Layer] = {}
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            inner = layers_of(layer) if has_graph(layer) else {}
            found |= {layer.name: layer, **{f"{layer.name}/{name}": one for name, one in inner.items()}}
    return found


def copy_of(layer: Layer, **settings: Any) -> Layer:
    """A layer of the same configuration, but for `settings`; its weights are new."""
    return type(layer).from_config({**layer.get_config(), **settings})


class Copies:
    """Copies of layers, one of each, put together as the originals are."""

    def __init__(
        self, make: Callable[[Layer], Layer] = copy_of, place: Layer = None, inserted: Sequence[Layer] = ()
    ) -> None:
        """`make` copies a layer without its weights; each call of the copy of `place` is followed by `inserted`."""
        self._make, self._place, self._inserted = make, place, inserted
        self._made: dict[int, tuple[Layer, Layer]] = {}  # original and copy, by the id of the original

    def model(self, model: Model) -> Model:
        """A copy of `model` with the same weights."""
        copied = self._graph(model)
        for original, copy in self._made.values():
            if isinstance(copy, keras.Layer) and not has_graph(copy):  # the layers of a nested model are there too
                copy.set_weights(original.get_weights())
        return copied

    def _graph(self, model: Model) -> Model:
        if isinstance(model, keras.Sequential):
            [first] = model.inputs
            layers = [keras.Input(batch_shape=first.shape, dtype=first.dtype, name=first.name)]
            for layer in model.layers:
                layers += [self._copy(layer), *(self._inserted if layer is self._place else ())]
            return keras.Sequential(layers, name=model.name)
        inputs = {id(one.output): self._copy(one) for one in model.layers if isinstance(one, keras.layers.InputLayer)}
        clone = keras.models.clone_model(
            model,
            input_tensors=keras.tree.map_structure(lambda tensor: inputs[id(tensor)].output, model.input),
            clone_function=self._copy,
            call_function=self._call,
        )
        return keras.Model(clone.input, clone.output, name=model.name)  # a clone would be compiled

    def _copy(self, layer: Layer) -> Layer:
        if id(layer) not in self._made:
            self._made[id(layer)] = layer, (self._graph if has_graph(layer) else self._make)(layer)
        return self._made[id(layer)][1]

    def _call(self, copy: Layer, *arguments: Any, **settings: Any) -> Tensor:
        """What a functional model reads where it calls `copy`."""
        output = copy(*arguments, **settings)
        _, place = self._made.get(id(self._place), (None, None))
        if copy is not place:
            return output
        if not keras.utils.is_keras_tensor(output):
            raise ValueError(f"the layer {copy.name} gives several tensors; layers can follow a single one only")
        for layer in self._inserted:
            output = layer(output)
        return output
