/* A segmentation network and its sizes. Written by frugalseg. For C and C++. */
#ifndef FRUGALSEG_MODEL_H
#define FRUGALSEG_MODEL_H

#include <stddef.h>
#include <stdint.h>

/* $arena_note */
#define MODEL_ARENA_BYTES $arena_bytes

/* The input is bytes, NHWC: each holds the pixel minus 128.
 * $output_note */
$constants

typedef $element model_output_t;

#ifdef __cplusplus
extern "C" {
#endif

/* The .tflite file, aligned to 16 bytes. */
extern const unsigned char model_data[];
extern const size_t model_data_bytes;

/* By class id; names in UTF-8, colours as red, green, blue. */
extern const char* const model_class_names[MODEL_NUM_CLASSES];
extern const uint8_t model_class_colors[MODEL_NUM_CLASSES][3];

#ifdef __cplusplus
}
#endif

#endif /* FRUGALSEG_MODEL_H */
