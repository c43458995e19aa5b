// A worker with LiteRT: ?build=compat, relaxed or threaded. It answers with bytes and milliseconds.
const BUILDS = {
  compat: "litert_wasm_compat_internal",
  relaxed: "litert_wasm_internal",
  threaded: "litert_wasm_threaded_internal",
};
const FOLDER = "packages/@litertjs/core/wasm/";
const build = BUILDS[new URL(self.location.href).searchParams.get("build")];

async function open(address) {
  importScripts(`${FOLDER}${build}.js`);
  const runtime = await ModuleFactory({
    locateFile: (name) => FOLDER + name,
    mainScriptUrlOrBlob: new URL(`${FOLDER}${build}.js`, self.location.href).href,
    print: () => undefined,
    printErr: () => undefined,
  });
  const file = new Uint8Array(await (await fetch(address)).arrayBuffer());
  const environment = runtime.LiteRtEnvironment.create(null);
  const at = runtime._malloc(file.length);
  runtime.HEAPU8.set(file, at);
  const model = runtime.loadModel(environment, at, file.length);
  const compiled = await runtime.compileModel(environment, model, {
    environment, accelerator: "wasm", cpuOptions: { numThreads: runtime.getThreadCount() },
    gpuOptions: {}, webNNOptions: {},
  });
  const type = model.getInputTensorType(0, 0);
  const host = runtime.LiteRtTensorBufferType.HOST_MEMORY;
  const input = runtime.LiteRtTensorBuffer.createManaged(environment, host, type, type.bytes());
  const { READ, WRITE } = runtime.LiteRtTensorBufferLockMode;
  return async (pixels) => {
    runtime.HEAPU8.set(pixels, input.lock(WRITE));
    input.unlock();
    const [output] = await compiled.run(0, [input]);
    const start = output.lock(READ);
    const bytes = runtime.HEAPU8.slice(start, start + output.packedSize());
    output.unlock();
    output.delete();
    return bytes;
  };
}

importScripts("worker.js");
