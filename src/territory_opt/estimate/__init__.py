"""What to expect of each account."""
