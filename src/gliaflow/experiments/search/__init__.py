"""A search over a stage's parameters by evolution, on workers that stay warm."""
