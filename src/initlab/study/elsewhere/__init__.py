"""Runs that were made elsewhere: read from tables and from trackers' folders, and judged by initlab's statistics."""
