"""One page that tells of a run, made from its journal; it needs no network and no program but a browser."""
