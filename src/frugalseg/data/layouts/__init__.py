"""The layouts that are read, one module each, but for those of the COCO family."""
