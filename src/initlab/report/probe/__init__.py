"""What a reader gets of a probe: figures, page."""
