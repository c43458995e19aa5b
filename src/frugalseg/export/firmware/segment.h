/* Segmentation of one picture by TensorFlow Lite Micro. For C and C++. */
#ifndef FRUGALSEG_SEGMENT_H
#define FRUGALSEG_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Set the interpreter up; once, before all else. Where it returns false, the log says why. */
bool segment_begin(void);

/* The input tensor, MODEL_INPUT_BYTES long. A driver that has no memory for a frame of its own
 * writes each value here, less 128, and then calls segment(NULL, ids). What was written is gone
 * after that call: it shares its memory with the network's activations. */
int8_t* segment_input(void);

/* Label a picture. `pixels` has MODEL_INPUT_BYTES bytes: rows from the top, from left to right,
 * MODEL_INPUT_CHANNELS values for each pixel (3: red, green, blue; 1: grey). `ids` takes
 * MODEL_OUTPUT_HEIGHT rows of MODEL_OUTPUT_WIDTH class ids. */
bool segment(const uint8_t* pixels, uint8_t* ids);

#ifdef __cplusplus
}
#endif

#endif /* FRUGALSEG_SEGMENT_H */
