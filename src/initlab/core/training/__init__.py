"""What a trainer is given and what it gives back, whatever the framework."""
