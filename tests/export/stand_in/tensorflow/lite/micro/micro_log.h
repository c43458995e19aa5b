// Stands in for the header of this name of TensorFlow Lite Micro, as far as the sources use it.
#ifndef STAND_IN_MICRO_LOG_H
#define STAND_IN_MICRO_LOG_H

#include <cstdarg>
#include <cstdio>

inline void MicroPrintf(const char* format, ...) {
  va_list values;
  va_start(values, format);
  std::vfprintf(stderr, format, values);
  va_end(values);
}

#endif
