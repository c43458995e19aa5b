"""The report of a run: one HTML page that carries everything with it."""
