"""How everything is drawn: colours, markup, files, PNG."""
