"""How the values of a Keras pass are heard."""
