"""JAX: the trainer of our own small networks. Importing this folder imports no jax; its modules do."""
