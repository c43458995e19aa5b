"""What is in a data set, what is wrong with it, and how it is mended and shown."""
