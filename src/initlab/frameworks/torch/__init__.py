"""PyTorch: models described, traced, read and written in place."""
