"""What may be wrong with a model: one check a function, and their limits."""
