"""What a reader gets of a study: table, figures, page."""
