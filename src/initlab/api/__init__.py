"""The public verbs, each a few lines over the floors below."""
