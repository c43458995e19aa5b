// A worker with onnxruntime-web: ?threads=1 or more. It answers with bytes and milliseconds.
const FOLDER = "packages/onnxruntime-web/dist/";
importScripts(`${FOLDER}ort.wasm.min.js`);
ort.env.wasm.wasmPaths = new URL(FOLDER, self.location.href).href;
ort.env.wasm.numThreads = Number(new URL(self.location.href).searchParams.get("threads"));

async function open(address, shape) {
  const file = new Uint8Array(await (await fetch(address)).arrayBuffer());
  const session = await ort.InferenceSession.create(file, { executionProviders: ["wasm"] });
  return async (pixels) => {
    const tensor = new ort.Tensor("uint8", pixels, shape);
    const output = (await session.run({ [session.inputNames[0]]: tensor }))[session.outputNames[0]];
    return new Uint8Array(output.data.buffer, output.data.byteOffset, output.data.byteLength);
  };
}

importScripts("worker.js");
