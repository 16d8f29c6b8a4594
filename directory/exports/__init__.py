"""Exports of contacts: CSV and XLSX, with cells that spreadsheets do not run as formulas."""
