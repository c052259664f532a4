"""Codes from pictures, scanners, keys and broadcasts: one value for all. No screen, no record, no link."""
