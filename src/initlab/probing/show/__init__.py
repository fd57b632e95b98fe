"""A profile and its diagnosis as text, HTML and SVG."""
