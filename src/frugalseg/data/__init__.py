"""Data sets: folders in, samples and a label space out; and what is wrong with them."""
