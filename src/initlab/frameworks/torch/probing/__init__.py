"""How a pass of a PyTorch model is captured: recorded, summed and followed backwards."""
