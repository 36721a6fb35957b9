"""Scenario files and what-if runs."""
