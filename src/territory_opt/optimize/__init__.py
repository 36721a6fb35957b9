"""Who gets what and owes what: a bound, then a plan. ``solve.py`` tells the story."""
