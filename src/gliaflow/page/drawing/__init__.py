"""The drawings of a page: SVG that stands in it, made here, line by line."""
