"""The instrument: what theory says of a model, what is measured in it, where the two part, and a verdict."""
