// The operators of the network in model.cc. Written by frugalseg.
#ifndef FRUGALSEG_RESOLVER_H
#define FRUGALSEG_RESOLVER_H

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace tflite {
namespace micro {
namespace frugalseg {

using Resolver = MicroMutableOpResolver<$count>;

inline TfLiteStatus AddOperators(Resolver& resolver) {
$calls
  return kTfLiteOk;
}

}  // namespace frugalseg
}  // namespace micro
}  // namespace tflite

#endif  // FRUGALSEG_RESOLVER_H
