"""One file's bytes to pixels or voxels."""
