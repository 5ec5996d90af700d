"""Where the archive comes from: Kaggle, or a program that draws synthetic patients."""
