"""A law and a reason for every parameter: made, bound to a model, printed."""
