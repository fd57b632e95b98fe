"""What was measured in a model, and what follows from it."""
