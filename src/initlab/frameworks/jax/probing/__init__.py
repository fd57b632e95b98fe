"""How the values of a JAX pass are heard."""
