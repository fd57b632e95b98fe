"""How the values of a PyTorch pass are heard."""
