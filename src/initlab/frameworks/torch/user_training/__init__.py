"""The trainer of the user's own PyTorch modules."""
