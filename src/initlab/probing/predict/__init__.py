"""What theory says of every place of a model."""
