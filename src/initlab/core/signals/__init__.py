"""What one batch shows inside a model, as records."""
