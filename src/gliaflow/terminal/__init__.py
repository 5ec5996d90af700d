"""What terminals show: the text of what a stage prints, pseudo-terminals for stages, and standard output."""
