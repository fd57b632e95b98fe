"""The functions behind the numbers and figures of the pages, a module a chapter."""
