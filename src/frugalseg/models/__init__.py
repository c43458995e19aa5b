"""Networks: one file each, listed in `catalog`."""
