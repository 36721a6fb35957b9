"""What is given: tables, validation, geography, graph."""
