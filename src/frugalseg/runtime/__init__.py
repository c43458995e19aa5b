"""Run an artifact: numpy, Pillow and one engine."""
