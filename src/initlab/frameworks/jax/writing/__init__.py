"""How the parameters of a Flax model are read and written."""
