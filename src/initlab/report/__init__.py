"""What a reader gets of a study: the table, its JSON, the report and the pictures."""
