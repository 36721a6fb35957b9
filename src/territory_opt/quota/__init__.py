"""Quotas as promises."""
