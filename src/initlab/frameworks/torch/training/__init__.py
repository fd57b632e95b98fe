"""The trainer of our own networks on PyTorch."""
