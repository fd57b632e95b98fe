"""What a weight is, which law it gets, and how it is drawn; NumPy alone."""
