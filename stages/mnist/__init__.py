"""A three-layer network on MNIST, written in plain TensorFlow."""
