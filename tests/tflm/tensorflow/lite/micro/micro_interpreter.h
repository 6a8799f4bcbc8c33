#ifndef FAKE_MICRO_INTERPRETER_H
#define FAKE_MICRO_INTERPRETER_H
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"

#include <cstddef>
#include <cstdint>

#define TFLITE_SCHEMA_VERSION (3)

typedef enum { kTfLiteNoType = 0, kTfLiteFloat32 = 1, kTfLiteInt8 = 9 } TfLiteType;

typedef union {
    void *raw;
    int8_t *int8;
} TfLitePtrUnion;

typedef struct {
    TfLiteType type;
    TfLitePtrUnion data;
    size_t bytes;
} TfLiteTensor;

namespace tflite
{

class MicroResourceVariables;

class MicroInterpreter
{
  public:
    MicroInterpreter(const Model *model, const MicroOpResolver &op_resolver, uint8_t *tensor_arena,
                     size_t tensor_arena_size, MicroResourceVariables *resource_variables = nullptr,
                     MicroProfilerInterface *profiler = nullptr, bool preserve_all_tensors = false);
    TfLiteStatus AllocateTensors();
    TfLiteStatus Invoke();
    TfLiteTensor *input(size_t index);
    TfLiteTensor *output(size_t index);

  private:
    const Model *model_;
    const MicroOpResolver &resolver_;
    uint8_t *arena_;
    size_t bytes_;
    MicroProfilerInterface *profiler_;
    TfLiteTensor input_ = {}, output_ = {};
    unsigned int invoked_ = 0;
};

} // namespace tflite
#endif
