"""Device makers' own tools, each in an environment of its own; nothing of them is imported here."""
