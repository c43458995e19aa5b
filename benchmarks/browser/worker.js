// What the workers share: they define `open`, which returns a function from pixels to bytes.
self.onmessage = async ({ data: { address, shape, pictures, runs } }) => {
  try {
    const began = performance.now();
    const run = await open(address, shape);
    const ready = performance.now() - began;
    const outputs = [];
    const times = [];
    for (const values of pictures) {
      const pixels = Uint8Array.from(values);
      await run(pixels);
      for (let k = 0; k < runs; k++) {
        const from = performance.now();
        const bytes = await run(pixels);
        times.push(performance.now() - from);
        if (k === 0) outputs.push(Array.from(bytes));
      }
    }
    self.postMessage({ outputs, times, ready });
  } catch (wrong) {
    self.postMessage({ error: String(wrong) });
  }
};
