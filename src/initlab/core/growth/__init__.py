"""Weights made of weights: more rows of a table, more units of a layer."""
