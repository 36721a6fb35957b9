"""What a plan is worth: quantities, pairs, eligibility and rules, read by solver and judge alike."""
