"""Everything that calls OR-Tools: linear and mixed-integer models."""
