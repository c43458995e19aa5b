"""Network to file, and the proof that the file computes the same."""
