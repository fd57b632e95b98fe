"""How the variables of a Keras model are read and written."""
