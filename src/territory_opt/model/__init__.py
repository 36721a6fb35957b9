"""What a plan is worth: pairs, quantities and rows, read by solver and judge alike."""
