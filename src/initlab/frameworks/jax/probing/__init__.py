"""How a pass of a Flax model is captured: traced, summed and followed backwards."""
