"""Broken networks from practice, told without a framework."""
