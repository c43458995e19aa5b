"""The COCO family: annotation files with an entry for each picture, read once into an index."""
