"""Moves and exchanges in compiled code."""
