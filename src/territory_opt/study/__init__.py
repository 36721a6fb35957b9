"""Many plans of one company: what sets them apart."""
