/**
 * LiteRT, compiled to WebAssembly, running one network file.
 *
 * The bindings are used and not `@litertjs/core` over them: that one knows no int8 tensors.
 */

import { Problem } from "./problem.js";

/**
 * @typedef {object} Vector
 * @property {() => number} size
 * @property {(at: number) => number} get
 * @property {() => void} delete
 *
 * @typedef {object} TensorType
 * @property {() => { value: number }} elementType
 * @property {() => { dimensions: () => Vector, delete: () => void }} layout
 * @property {() => number} bytes
 * @property {() => void} delete
 *
 * @typedef {object} TensorBuffer
 * @property {(mode: unknown) => number} lock  Returns where its bytes are in the heap.
 * @property {() => void} unlock
 * @property {() => number} packedSize
 * @property {() => void} delete
 *
 * @typedef {object} NetworkModel
 * @property {(signature: number, at: number) => TensorType} getInputTensorType
 * @property {(signature: number, at: number) => TensorType} getOutputTensorType
 * @property {() => void} delete
 *
 * @typedef {object} Runtime  What the factory of LiteRT's script returns.
 * @property {Uint8Array} HEAPU8  Another one after memory has grown.
 * @property {(bytes: number) => number} _malloc
 * @property {(at: number) => void} _free
 * @property {() => void} setupLogging
 * @property {{ create: (gpu: null) => object }} LiteRtEnvironment
 * @property {(environment: object, at: number, bytes: number) => NetworkModel} loadModel
 * @property {(environment: object, model: NetworkModel, options: object) => CompiledModel | Promise<CompiledModel>} compileModel
 * @property {{ createManaged: (environment: object, kind: unknown, type: TensorType, bytes: number) => TensorBuffer }} LiteRtTensorBuffer
 * @property {{ HOST_MEMORY: unknown }} LiteRtTensorBufferType
 * @property {{ READ: unknown, WRITE: unknown }} LiteRtTensorBufferLockMode
 *
 * @typedef {object} CompiledModel
 * @property {(signature: number, inputs: TensorBuffer[]) => TensorBuffer[] | Promise<TensorBuffer[]>} run
 * @property {() => void} delete
 *
 * @typedef {{ element: number, shape: number[] }} Tensor
 *
 * @typedef {object} Network
 * @property {Tensor} takes
 * @property {Tensor} gives
 * @property {(pixels: Uint8Array) => Promise<Uint8Array>} run  Pixels in, the bytes of the output.
 * @property {() => void} close  Frees its memory.
 */

/** LiteRT's numbers for the types of elements that our files have. */
export const ELEMENT = Object.freeze({ float32: 1, int32: 2, uint8: 3, int8: 9 });

const SIGN_BIT = 0x80;

/**
 * Load a .tflite file.
 *
 * @param {Runtime} runtime
 * @param {Uint8Array} file
 * @returns {Promise<Network>}
 */
export async function openNetwork(runtime, file) {
  const environment = runtime.LiteRtEnvironment.create(null);
  const at = runtime._malloc(file.length);
  runtime.HEAPU8.set(file, at);
  const model = runtime.loadModel(environment, at, file.length);
  const options = {
    environment, accelerator: "wasm", cpuOptions: { numThreads: 1 }, gpuOptions: {}, webNNOptions: {},
  };
  const compiled = await runtime.compileModel(environment, model, options);
  const type = model.getInputTensorType(0, 0);
  const takes = tensorOf(type);
  const gives = tensorOf(model.getOutputTensorType(0, 0));
  const host = runtime.LiteRtTensorBufferType.HOST_MEMORY;
  const input = runtime.LiteRtTensorBuffer.createManaged(environment, host, type, type.bytes());
  const { READ, WRITE } = runtime.LiteRtTensorBufferLockMode;

  /** @param {Uint8Array} pixels */
  async function run(pixels) {
    const held = takes.element === ELEMENT.int8 ? pixels.map((value) => value ^ SIGN_BIT) : pixels;
    runtime.HEAPU8.set(held, input.lock(WRITE));
    input.unlock();
    const [output, ...more] = await compiled.run(0, [input]);
    const start = output.lock(READ);
    const bytes = runtime.HEAPU8.slice(start, start + output.packedSize());
    output.unlock();
    for (const buffer of [output, ...more]) buffer.delete();
    return bytes;
  }

  function close() {
    for (const each of [input, compiled, model]) each.delete();
    runtime._free(at);
  }

  return { takes, gives, run, close };
}

/**
 * @param {TensorType} type
 * @returns {Tensor}
 */
function tensorOf(type) {
  const dimensions = type.layout().dimensions();
  const shape = Array.from({ length: dimensions.size() }, (_, at) => dimensions.get(at));
  return { element: type.elementType().value, shape };
}

/**
 * Scores as numbers. int8 ones stay the integers of the file: its scale is positive and one for
 * all classes, so that the best class is the same.
 *
 * @param {Tensor} tensor
 * @param {Uint8Array} bytes
 * @returns {Float32Array}
 */
export function asScores({ element }, bytes) {
  switch (element) {
    case ELEMENT.float32: return new Float32Array(bytes.buffer);
    case ELEMENT.int8: return Float32Array.from(new Int8Array(bytes.buffer));
    case ELEMENT.uint8: return Float32Array.from(bytes);
    default: throw new Problem("This network gives scores that the page cannot read");
  }
}

/**
 * Class ids as bytes.
 *
 * @param {Tensor} tensor
 * @param {Uint8Array} bytes
 * @returns {Uint8Array}
 */
export function asLabels({ element }, bytes) {
  return element === ELEMENT.int32 ? Uint8Array.from(new Int32Array(bytes.buffer)) : bytes;
}
