/** Which build of LiteRT this browser can run. A classic script, for workers that are no modules. */

// A module of one function, () -> v128, that swizzles as relaxed SIMD does: two bytes splat, 0xfd 0x100.
const RELAXED_SWIZZLE = Uint8Array.of(
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, // magic, version 1
  0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, // types: () -> v128
  0x03, 0x02, 0x01, 0x00, // functions: one, of that type
  0x0a, 0x0f, 0x01, 0x0d, 0x00, // code: one body without locals
  0x41, 0x01, 0xfd, 0x0f, 0x41, 0x02, 0xfd, 0x0f, 0xfd, 0x80, 0x02, 0x0b,
);

// The quicker one where there is relaxed SIMD, which Safari and older browsers lack.
const ENGINE = WebAssembly.validate(RELAXED_SWIZZLE)
  ? "engine/litert_wasm_internal"
  : "engine/litert_wasm_compat_internal";
