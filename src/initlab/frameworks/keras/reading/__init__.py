"""How a pass of a Keras model becomes the graph that ``frameworks.reading`` reads."""
