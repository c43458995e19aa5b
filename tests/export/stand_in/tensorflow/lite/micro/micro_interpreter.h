// Stands in for the header of this name of TensorFlow Lite Micro, as far as the sources use it.
// The network of this interpreter repeats its input: -DINPUT_BYTES and -DOUTPUT_BYTES are their
// sizes. WANTED_BYTES, in the environment, is the arena that it wants. -DIN_MICRO as for the
// resolver.
#ifndef STAND_IN_MICRO_INTERPRETER_H
#define STAND_IN_MICRO_INTERPRETER_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

#define TFLITE_SCHEMA_VERSION (3)

union TfLitePtrUnion {
  int8_t* int8;
  void* data;
};

struct TfLiteTensor {
  TfLitePtrUnion data;
  size_t bytes;
};

namespace tflite {

struct Model {
  uint32_t version() const { return 3; }
};

inline const Model* GetModel(const void* data) { return static_cast<const Model*>(data); }

#ifdef IN_MICRO
namespace micro {
#endif

class MicroInterpreter {
 public:
  MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t* arena, size_t arena_bytes)
      : aligned_(reinterpret_cast<uintptr_t>(arena) % 16 == 0), arena_bytes_(arena_bytes) {
    input_.data.int8 = held_;
    input_.bytes = INPUT_BYTES;
    output_.data.int8 = made_;
    output_.bytes = OUTPUT_BYTES;
  }

  TfLiteStatus AllocateTensors() {
    const char* told = std::getenv("WANTED_BYTES");
    const size_t wanted = told ? std::strtoul(told, nullptr, 10) : 0;
    return aligned_ && arena_bytes_ >= wanted ? kTfLiteOk : kTfLiteError;
  }

  TfLiteStatus Invoke() {
    for (int i = 0; i < OUTPUT_BYTES; ++i) made_[i] = held_[i % INPUT_BYTES];
    for (int i = 0; i < INPUT_BYTES; ++i) held_[i] = 0;  // activations overwrite the input
    return kTfLiteOk;
  }

  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return &output_; }

 private:
  bool aligned_;
  size_t arena_bytes_;
  alignas(4) int8_t held_[INPUT_BYTES];
  alignas(4) int8_t made_[OUTPUT_BYTES];
  TfLiteTensor input_;
  TfLiteTensor output_;
};

#ifdef IN_MICRO
}  // namespace micro
#endif
}  // namespace tflite

#endif
