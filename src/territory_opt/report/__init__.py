"""Workbook and page."""
