#include "segment.h"

#include "model.h"
#include "resolver.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"

// Releases of TensorFlow Lite Micro keep their classes in tflite or in tflite::micro. From in here
// either are found.
namespace tflite {
namespace micro {
namespace frugalseg {
namespace {

alignas(16) uint8_t arena[MODEL_ARENA_BYTES];
MicroInterpreter* interpreter = nullptr;
TfLiteTensor* input = nullptr;
TfLiteTensor* output = nullptr;

bool Begin() {
  const Model* model = GetModel(model_data);
  if (model->version() != TFLITE_SCHEMA_VERSION) {
    MicroPrintf("the model has schema version %d, this library reads %d",
                static_cast<int>(model->version()), TFLITE_SCHEMA_VERSION);
    return false;
  }
  static Resolver resolver;
  if (AddOperators(resolver) != kTfLiteOk) {
    MicroPrintf("the operators of resolver.h could not be registered");
    return false;
  }
  static MicroInterpreter instance(model, resolver, arena, sizeof(arena));
  if (instance.AllocateTensors() != kTfLiteOk) {
    MicroPrintf("the tensors do not fit an arena of %d bytes: kernels tuned for a processor want"
                " more than those it was measured with; raise MODEL_ARENA_BYTES",
                static_cast<int>(sizeof(arena)));
    return false;
  }
  input = instance.input(0);
  output = instance.output(0);
  if (input->bytes != MODEL_INPUT_BYTES || output->bytes != MODEL_OUTPUT_BYTES) {
    MicroPrintf("model.h is not the header of this model: input %d bytes, output %d bytes",
                static_cast<int>(input->bytes), static_cast<int>(output->bytes));
    return false;
  }
  interpreter = &instance;
  return true;
}

bool Run() {
  if (interpreter->Invoke() == kTfLiteOk) return true;
  MicroPrintf("the network could not be run");
  return false;
}

}  // namespace
}  // namespace frugalseg
}  // namespace micro
}  // namespace tflite

namespace {

namespace board = tflite::micro::frugalseg;

// Of equal scores the first wins, as in the proof.
uint8_t Best(const model_output_t* scores) {
  int best = 0;
  for (int id = 1; id < MODEL_OUTPUT_CHANNELS; ++id) {
    if (scores[id] > scores[best]) best = id;
  }
  return static_cast<uint8_t>(best);
}

}  // namespace

bool segment_begin() { return board::interpreter != nullptr || board::Begin(); }

int8_t* segment_input() { return board::input->data.int8; }

bool segment(const uint8_t* pixels, uint8_t* ids) {
  if (pixels != nullptr) {
    int8_t* input = segment_input();
    for (int i = 0; i < MODEL_INPUT_BYTES; ++i) {
      input[i] = static_cast<int8_t>(static_cast<int>(pixels[i]) - 128);
    }
  }
  if (!board::Run()) return false;
  const model_output_t* values = static_cast<const model_output_t*>(board::output->data.data);
  for (int i = 0; i < MODEL_OUTPUT_HEIGHT * MODEL_OUTPUT_WIDTH; ++i) {
    const model_output_t* here = values + i * MODEL_OUTPUT_CHANNELS;
    ids[i] = MODEL_OUTPUT_IS_IDS ? static_cast<uint8_t>(*here) : Best(here);
  }
  return true;
}
