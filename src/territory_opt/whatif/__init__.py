"""Scenario files, their variants, saved plans, and the rest of a year as a scenario of its own."""
