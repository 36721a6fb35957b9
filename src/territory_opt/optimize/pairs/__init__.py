"""Pairs in compiled code: priced, listed, chosen as candidates."""
