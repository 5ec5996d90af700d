"""Steps of training, as one graph."""

from collections.abc import Callable

from stages.mnist.network import tf


def in_one_graph(step: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """A graph that takes `step` for each row of its argument S B, in that order, and gives the mean of the S losses."""

    def steps(chosen: tf.Tensor) -> tf.Tensor:
        total = tf.constant(0.0)
        for rows in chosen:  # a loop of the graph, not of Python
            total += step(rows)
        return total / len(chosen)

    graph = tf.function(steps)

    def taken(chosen: tf.Tensor) -> tf.Tensor:
        # Called by itself, a graph counts as traced again for each network, and TensorFlow warns of it.
        return graph.get_concrete_function(chosen)(chosen)

    return taken
