"""Whether every parameter of a model holds what was declared of it."""
