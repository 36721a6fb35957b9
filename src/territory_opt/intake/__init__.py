"""From tables to a Problem: reading, checking, filling, naming what is wrong."""
