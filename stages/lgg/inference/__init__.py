"""What a trained network says of stacks of slices."""
