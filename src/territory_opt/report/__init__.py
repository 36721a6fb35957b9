"""Workbook, page with map, saving a plan."""
