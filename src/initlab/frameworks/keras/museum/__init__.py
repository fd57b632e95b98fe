"""The broken networks of the museum in Keras."""
