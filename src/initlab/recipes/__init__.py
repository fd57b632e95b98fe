"""What public implementations draw for each parameter of their models."""
