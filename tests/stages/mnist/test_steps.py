"""Steps of training in one graph, with sums that were worked out by hand."""

import logging

import pytest

from stages.mnist.network import tf
from stages.mnist.steps import in_one_graph


def test_steps_are_taken_in_order_and_the_loss_is_their_mean() -> None:
    weight = tf.Variable(1.0)

    def step(rows: tf.Tensor) -> tf.Tensor:
        loss = weight * tf.cast(tf.reduce_sum(rows), tf.float32)
        weight.assign(weight / 2)
        return loss

    # Weights 1, 1/2 and 1/4 by the sums 3, 7 and 11 are 3, 3.5 and 2.75, of which the mean is 9.25 / 3.
    assert float(in_one_graph(step)(tf.constant([[1, 2], [3, 4], [5, 6]]))) == pytest.approx(9.25 / 3)
    assert float(weight) == 1 / 8


def test_nobody_is_warned_of_a_graph_for_each_network(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tensorflow")
    logger.addHandler(caplog.handler)
    try:
        for number in range(10):
            assert float(in_one_graph(lambda rows: tf.cast(rows, tf.float32))(tf.constant([number]))) == number
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.records == []
