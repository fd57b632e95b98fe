"""The trainer of our own networks on Keras."""
