"""Bayesian and maximum-likelihood regression of a noisy line with TensorFlow Probability."""
