"""Attacks on what is read: spoilt files, hostile names and settings."""
