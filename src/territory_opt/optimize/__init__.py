"""Who gets what and owes what: bound, search, branch and bound."""
