"""What is given: tables and policy, checked and immutable, and the calendar. Nothing is read or repaired here."""
