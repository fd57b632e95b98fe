"""Studies: what is compared, the runs that come of it, the store of their records, and what they say."""
