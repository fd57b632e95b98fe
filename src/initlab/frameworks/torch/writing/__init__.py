"""How the parameters of a PyTorch model are read and written."""
