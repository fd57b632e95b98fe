"""How a jaxpr becomes the graph that ``frameworks.reading`` reads."""
