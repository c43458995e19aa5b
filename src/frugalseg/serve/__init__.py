"""HTTP over the runtime: pictures in, classes out; no PyTorch."""
