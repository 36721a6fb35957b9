"""Places: the sphere, who is next to whom."""
