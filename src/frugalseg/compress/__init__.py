"""Make a trained network smaller: a plan, which is data, and what it makes of a copy."""
