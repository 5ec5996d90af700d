"""Surgery: what is inserted is where it belongs, what is regularised is in the loss, what is frozen stays."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.mnist.network import initial
from stages.mnist.pretrained.copies import keras, layers_of
from stages.mnist.pretrained.surgery import freeze, identity_dense, insert, regularise
from stages.mnist.pretrained.tuning import as_keras
from tests.house.pages import BY_NAME
from tests.stages.mnist.pretrained.keras_models import FAMILIES, WIDTH, dense, layers, outputs, state, trained

Array = NDArray[np.float32]
families = pytest.mark.parametrize("family", FAMILIES)
L2 = 0.25


def same(one: Any, other: Any) -> bool:
    """To the bit; -0 is 0."""
    return all(map(np.array_equal, outputs(one), outputs(other)))


def beginnings() -> Iterator[list[Any]]:
    """Chains of layers that start as the identity, each of which sees any value."""
    yield [layers.Dropout(0.5, name="new")]
    yield [identity_dense(WIDTH, name="new"), layers.Dropout(0.5, name="newer")]
    yield [layers.Identity(name="new"), identity_dense(WIDTH, name="newer"), identity_dense(WIDTH, name="newest")]


def places(family: str) -> list[str]:
    return [name for name, layer in layers_of(FAMILIES[family]()).items() if layer.output.shape == (None, WIDTH)]


@families
def test_what_starts_as_identity_changes_no_output_wherever_it_is_inserted(family: str) -> None:
    model = trained(family)
    before, given = state(model), outputs(model)
    for place in places(family):
        for chain in beginnings():
            changed = insert(model, chain, after=place)
            assert all(map(np.array_equal, outputs(changed), given)), place
            names = {layer.name for layer in layers_of(changed).values()}
            assert {layer.name for layer in chain} <= names
            kept = [entry for entry in state(changed) if not entry[0].split("/")[-2].startswith("new")]
            assert sorted(kept) == sorted(before)
    assert state(model) == before
    assert all(map(np.array_equal, outputs(model), given))


@families
def test_what_is_no_identity_changes_the_outputs(family: str) -> None:
    """Or the test above would hold for an insertion that does nothing."""
    for place in places(family):
        model = trained(family)
        bias = keras.initializers.Constant(1.0)
        shift = identity_dense(WIDTH, name="new")
        shift.bias_initializer = bias
        assert not same(insert(model, [shift], after=place), model), place


def weights(layer: Any) -> tuple[Array, Array]:
    kernel, bias = layer.get_weights()
    return kernel, bias


def times_ten() -> Any:
    return layers.Rescaling(10.0, name="ten")


def test_insertion_into_a_sequential_by_hand() -> None:
    model = trained("sequential")
    changed = insert(model, [times_ten()], after="first")
    x = np.array([[1, -2, 3, -4]], np.float32)
    (w, b), (v, c) = weights(model.get_layer("first")), weights(model.get_layer("last"))
    assert np.asarray(changed(x)) == pytest.approx(10 * np.maximum(x @ w + b, 0) @ v + c, rel=1e-5)
    assert [layer.name for layer in changed.layers] == ["first", "ten", "drop", "last"]


def test_insertion_follows_every_call_of_a_shared_layer_by_hand() -> None:
    model = trained("shared")
    changed = insert(model, [times_ten()], after="twin")
    a, b = np.array([[1, -2, 3, -4]], np.float32), np.array([[2, 0, 1, 1]], np.float32)
    (w, bias), (v, c) = weights(model.get_layer("twin")), weights(model.get_layer("last"))

    def twin(x: Array) -> Array:
        return np.asarray(10 * np.tanh(x @ w + bias))

    assert np.asarray(changed([a, b])) == pytest.approx((twin(twin(a)) - twin(b)) @ v + c, rel=1e-4)
    assert len(changed.weights) == len(model.weights)


def test_what_follows_a_shared_layer_is_shared_too() -> None:
    model = trained("shared")
    changed = insert(model, [dense("new")], after="twin")
    assert len(changed.weights) == len(model.weights) + 2


def test_insertion_into_one_branch_leaves_the_other() -> None:
    model = trained("branches")
    changed = insert(model, [times_ten()], after="right")
    x = np.ones((1, WIDTH), np.float32)
    before, after = (one({"a": x, "b": x}) for one in (model, changed))
    assert np.asarray(after["right"]) == pytest.approx(10 * np.asarray(before["right"]))
    assert not np.array_equal(after["sum"], before["sum"])  # it reads the branch as well
    narrow, _ = weights(model.get_layer("narrow"))
    assert np.asarray(after["sum"] - before["sum"]) == pytest.approx(18 * np.asarray(before["right"]) @ narrow[WIDTH:])


def test_insertion_within_a_nested_model_follows_its_every_call() -> None:
    model = trained("nested")
    changed = insert(model, [times_ten()], after="base/tower/two")
    assert list(layers_of(changed))[-3:] == ["base/tower/two", "base/tower/ten", "last"]
    known, (v, c) = layers_of(model), weights(model.get_layer("last"))
    x = np.array([[0.1, -0.2, 0.3, -0.4]], np.float32)

    def base(x: Array) -> Array:
        return 10 * np.asarray(known["base/tower/two"](known["base/tower/one"](known["twin"](x)))) + x

    expected = base(base(np.asarray(known["twin"](x)))) @ v + c
    assert np.asarray(changed(x)) == pytest.approx(expected, rel=1e-4)


def test_after_an_output_the_output_is_that_of_the_new_layer() -> None:
    model = keras.Model(*(lambda x: (x, dense("last")(x)))(keras.Input((WIDTH,), name="x")))
    assert insert(model, [layers.Identity(name="new")], after="last").output_names == ["new"]


def test_flags_of_what_is_inserted_and_of_what_was_there_are_kept() -> None:
    model = freeze(trained("normed"), layers=["first", "norm"])
    changed = insert(model, [dense("fixed_too", trainable=False), dense("moving")], after="relu")
    assert {layer.name for layer in changed.layers if not layer.trainable} == {"first", "norm", "fixed_too"}


@pytest.mark.parametrize("family", ["sequential", "branches", "nested"])
def test_an_unknown_name_is_answered_by_those_there_are(family: str) -> None:
    model = trained(family)
    known = ", ".join(layers_of(model))
    changes: list[Callable[[], Any]] = [
        lambda: insert(model, [dense("new")], after="frist"),
        lambda: freeze(model, layers=["frist"]),
        lambda: regularise(model, keras.regularizers.L2(L2), layers=["frist"]),
    ]
    for change in changes:
        with pytest.raises(ValueError, match=f"^there is no layer frist; there are {known}$"):
            change()


def test_an_input_is_no_layer_to_insert_after() -> None:
    with pytest.raises(ValueError, match=r"there is no layer a; there are [^a]*left"):
        insert(trained("branches"), [dense("new")], after="a")


@pytest.mark.parametrize("family", ["sequential", "shared"])
def test_a_name_that_is_taken_is_refused(family: str) -> None:
    with pytest.raises(ValueError, match="last"):
        insert(trained(family), [dense("last")], after=places(family)[0])


def test_after_several_tensors_nothing_is_inserted() -> None:
    x = keras.Input((3, WIDTH))
    model = keras.Model(x, layers.LSTM(2, return_state=True, name="lstm")(x))
    with pytest.raises(ValueError, match="the layer lstm gives several tensors"):
        insert(model, [dense("new")], after="lstm")


def test_a_dense_layer_starts_as_the_identity() -> None:
    rows = np.array([[-3, -0.1, 0, 1e30], [1e-30, 2, 1 / 3, -1e9]], np.float32)
    assert np.array_equal(identity_dense(WIDTH)(rows), rows)
    assert np.array_equal(identity_dense(WIDTH, activation="relu")(abs(rows)), abs(rows))
    assert np.array_equal(identity_dense(WIDTH, activation="relu")(rows), np.maximum(rows, 0))
    assert np.asarray(identity_dense(WIDTH, activation="tanh")(rows / 1e32)) == pytest.approx(rows / 1e32, abs=1e-6)


def test_it_learns_like_any_other() -> None:
    model = insert(trained("sequential"), [identity_dense(WIDTH, name="new")], after="drop")
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = model.get_layer("new").get_weights()
    model.train_on_batch(np.ones((2, WIDTH)), np.zeros((2, WIDTH)))
    assert not any(map(np.array_equal, model.get_layer("new").get_weights(), before))


def test_the_lines_of_the_documentation_do_what_it_says() -> None:
    [lines] = [text for kind, text in BY_NAME["docs/reference-pipeline.md"].blocks if kind == "python"]
    model = as_keras(initial(300, np.random.default_rng(1)))
    given: dict[str, Any] = {"model": model}
    exec(lines, given)
    images = np.random.default_rng(2).integers(0, 256, (4, 28, 28), np.uint8)
    assert np.asarray(given["model"](images)) == pytest.approx(np.asarray(model(images)), abs=1e-6)
    before = state(given["model"])
    given["model"].fit(images, np.arange(4), verbose=0)
    moved = {path for (path, *_, old), (*_, new) in zip(before, state(given["model"]), strict=True) if old != new}
    assert len(moved) == 4
    assert not any(path.startswith("hidden") for path in moved)
    assert loss(given["model"]) == pytest.approx(1e-4 * squares(weights(given["model"].get_layer("output"))[0]))


def squares(*kernels: Any) -> float:
    return sum(float((np.asarray(kernel, float) ** 2).sum()) for kernel in kernels)


def loss(model: Any) -> float:
    return float(sum(model.losses))


def test_a_regulariser_set_on_a_layer_that_is_built_does_nothing() -> None:
    """Why there is a function for it."""
    model = trained("sequential")
    model.get_layer("first").kernel_regularizer = keras.regularizers.L2(L2)
    assert model.losses == []


@families
def test_regularisers_of_every_layer_that_has_a_kernel_by_hand(family: str) -> None:
    model = trained(family)
    before, given = state(model), outputs(model)
    names = [name for name, layer in layers_of(model).items() if "kernel_regularizer" in layer.get_config()]
    changed = regularise(model, keras.regularizers.L2(L2), layers=names)
    kernels = [weight for weight in model.weights if weight.name == "kernel"]  # of a shared layer, once
    assert len(changed.losses) == len(kernels) > 0
    assert loss(changed) == pytest.approx(L2 * squares(*kernels), rel=1e-5)
    assert same(changed, model)
    assert state(changed) == before
    assert model.losses == []
    assert all(map(np.array_equal, outputs(model), given))


def test_a_shared_layer_counts_once_by_hand() -> None:
    model = regularise(trained("shared"), keras.regularizers.L1(2.0), layers=["twin"])
    outputs(model)
    assert loss(model) == pytest.approx(2 * abs(weights(model.get_layer("twin"))[0]).sum())


def test_weights_are_regularised_by_name() -> None:
    model = regularise(trained("normed"), keras.regularizers.L2(L2), layers=["norm"], weights=("gamma", "beta"))
    gamma, beta, _, _ = model.get_layer("norm").get_weights()
    assert loss(model) == pytest.approx(L2 * squares(gamma, beta))


def test_a_second_regulariser_of_a_weight_replaces_the_first() -> None:
    model = regularise(trained("sequential"), keras.regularizers.L2(1.0), layers=["first", "last"])
    model = regularise(model, keras.regularizers.L2(L2), layers=["last"])
    first, last = (weights(model.get_layer(name))[0] for name in ("first", "last"))
    assert loss(model) == pytest.approx(squares(first) + L2 * squares(last))


@pytest.mark.parametrize(
    ("name", "setting"),
    [("norm", "norm .BatchNormalization. has no setting kernel_r"), ("relu", "relu .ReLU. has no setting kernel_r")],
)
def test_a_layer_without_the_setting_is_refused(name: str, setting: str) -> None:
    with pytest.raises(ValueError, match=f"^the layer {setting}egularizer$"):
        regularise(trained("normed"), keras.regularizers.L2(L2), layers=[name])


def test_a_step_pulls_the_weights_by_hand() -> None:
    """Where the data pull at no kernel, as inputs of 0 do, a step of SGD takes 2 · rate · L2 of it away."""
    model = regularise(trained("sequential"), keras.regularizers.L2(L2), layers=["first"])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    before, _ = weights(model.get_layer("first"))
    zeros = np.zeros((3, WIDTH), np.float32)
    data = float(((np.asarray(model(zeros)) - 1) ** 2).mean())
    assert model.evaluate(zeros, zeros + 1, verbose=0) == pytest.approx(data + L2 * squares(before), rel=1e-5)
    model.train_on_batch(zeros, zeros + 1)
    assert weights(model.get_layer("first"))[0] == pytest.approx(before * (1 - 2 * 0.5 * L2), rel=1e-5)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, when it saves
def test_the_regulariser_is_saved_cloned_and_kept_by_further_surgery(tmp_path: Path) -> None:
    model = regularise(trained("shared"), keras.regularizers.L2(L2), layers=["twin"])
    model.save(tmp_path / "model.keras")
    for copy in (
        keras.models.load_model(tmp_path / "model.keras"),
        insert(model, [identity_dense(WIDTH, name="new")], after="twin"),
        freeze(model, layers=["last"]),
    ):
        assert loss(copy) == pytest.approx(loss(model))
        assert same(copy, model)
    clone = keras.models.clone_model(model)
    assert loss(clone) == pytest.approx(L2 * squares(weights(clone.get_layer("twin"))[0]))


def test_a_frozen_layer_is_not_regularised() -> None:
    model = regularise(trained("sequential"), keras.regularizers.L2(L2), layers=["first", "last"])
    frozen = freeze(model, layers=["first"])
    assert loss(frozen) == pytest.approx(L2 * squares(weights(model.get_layer("last"))[0]))


def moved(model: Any) -> set[str]:
    """The paths of the weights that three steps of training change."""
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = state(model)
    rows = np.random.default_rng(9).normal(size=(8, WIDTH)).astype(np.float32)
    model.fit(rows, rows + 1, epochs=3, batch_size=4, verbose=0)
    return {path for (path, _, old), (_, _, new) in zip(before, state(model), strict=True) if old != new}


def test_frozen_layers_stay_and_so_do_the_statistics_of_frozen_batch_normalisation() -> None:
    model = trained("normed")
    idle = {"first/bias"}  # batch normalisation takes it away: it moves by what rounding leaves, or not at all
    everything = {weight.path for weight in model.weights} - idle
    assert moved(freeze(model, layers=[])) - idle == everything  # also of `fixed`: fit overrules training=False
    frozen = {path for path in everything if path.startswith(("first", "norm"))}
    assert len(frozen) == 1 + 4
    assert moved(freeze(model, layers=["first", "norm"])) == everything - frozen
    assert all(layer.trainable for layer in model.layers)


def test_frozen_batch_normalisation_uses_its_statistics_in_training() -> None:
    model = freeze(trained("normed"), layers=["norm", "fixed"])
    assert all(map(np.array_equal, outputs(model, training=True), outputs(model)))


def test_all_of_a_nested_model_freezes() -> None:
    model = freeze(trained("nested"), layers=["base"])
    assert moved(model) == {"last/kernel", "last/bias"}  # the layer that it shares lies in it, too
    model = insert(freeze(trained("nested"), layers=["base/tower"]), [dense("new")], after="base")
    assert moved(model) == {f"{name}/{weight}" for name in ("twin", "new", "last") for weight in ("kernel", "bias")}
