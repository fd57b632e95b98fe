"""What is known of a parameter, a model or an architecture before any number is drawn."""
