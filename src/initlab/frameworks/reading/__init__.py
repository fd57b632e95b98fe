"""What one pass through a model shows, as values made of values: read alike for every framework that can be traced."""
