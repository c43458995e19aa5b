"""Scores of a segmentation, from one pass over the labels; needs numpy alone."""
