// A minimal program: take a frame, label it, use the labels. An Arduino sketch or a firmware with
// a start function of its own calls segment_begin() and segment() from there instead.

#include "model.h"
#include "segment.h"

namespace {

uint8_t ids[MODEL_OUTPUT_HEIGHT * MODEL_OUTPUT_WIDTH];

// The camera driver comes in here. It returns a frame of MODEL_INPUT_HEIGHT rows and
// MODEL_INPUT_WIDTH columns (the whole picture, stretched to that size), or null to stop.
const uint8_t* next_frame() { return nullptr; }

// What the firmware does with the labels comes in here: model_class_names and model_class_colors
// say what an id means.
void use(const uint8_t* labels) { static_cast<void>(labels); }

}  // namespace

int main() {
  if (!segment_begin()) return 1;
  while (const uint8_t* frame = next_frame()) {
    if (!segment(frame, ids)) return 1;
    use(ids);
  }
  return 0;
}
