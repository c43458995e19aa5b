"""Recipe, batches, loop, checkpoint, validation."""
