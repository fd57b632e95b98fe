"""The trainer of the user's own Keras models."""
