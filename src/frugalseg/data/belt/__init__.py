"""The embedded data set: scenes on a sorting belt, drawn from a seed."""
