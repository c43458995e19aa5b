"""Outlines and packed regions to pixels, and back; nothing here knows of files."""
