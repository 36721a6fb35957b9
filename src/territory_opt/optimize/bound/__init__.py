"""Duals and proofs: what no plan can exceed."""
