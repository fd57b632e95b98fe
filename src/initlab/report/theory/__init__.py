"""What a reader gets of the theory of an activation."""
