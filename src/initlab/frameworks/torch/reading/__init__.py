"""How PyTorch's calls become the graph that ``frameworks.reading`` reads."""
