"""Starts from data and from other weights, and the nets on which ``docs/starts.md`` compares them."""
