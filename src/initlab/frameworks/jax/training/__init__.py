"""The trainer of our own networks on JAX."""
