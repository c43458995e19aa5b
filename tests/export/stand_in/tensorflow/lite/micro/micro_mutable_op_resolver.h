// Stands in for the header of this name of TensorFlow Lite Micro, as far as the sources use it.
// -DIN_MICRO puts the classes where newer releases have them.
#ifndef STAND_IN_MICRO_MUTABLE_OP_RESOLVER_H
#define STAND_IN_MICRO_MUTABLE_OP_RESOLVER_H

typedef enum { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;

#define STAND_IN_ADD(name) \
  TfLiteStatus name() { return ++added_ > most ? kTfLiteError : kTfLiteOk; }

namespace tflite {
#ifdef IN_MICRO
namespace micro {
#endif

class MicroOpResolver {};

template <unsigned int most>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  STAND_IN_ADD(AddAdd)
  STAND_IN_ADD(AddConv2D)
  STAND_IN_ADD(AddMean)
  STAND_IN_ADD(AddResizeBilinear)

 private:
  unsigned int added_ = 0;
};

#ifdef IN_MICRO
}  // namespace micro
#endif
}  // namespace tflite

#endif
