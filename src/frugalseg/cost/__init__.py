"""What a network costs: a graph of operators, its weight, its peak memory; and the devices."""
