"""What came out, and its judge, which knows no solver."""
