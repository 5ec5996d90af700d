"""What runs next and what its end means; the standard library and pydantic alone."""
