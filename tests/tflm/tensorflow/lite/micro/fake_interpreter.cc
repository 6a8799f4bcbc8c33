/* An interpreter that is our own compiled network, asc_fake_net; fake.h says what it needs and when it fails.
 */
#include "fake.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/system_setup.h"

#include <cstring>

extern "C" {
#include "asc_model.h"
extern const asc_model asc_fake_net;
}

static uint32_t set_up;

/* Something that only a constructor sets: it must have run before main. */
static uint32_t constructed = [] { return 1u + set_up; }();

namespace tflite
{

void InitializeTarget() { set_up = 1; }

MicroInterpreter::MicroInterpreter(const Model *model, const MicroOpResolver &op_resolver,
                                   uint8_t *tensor_arena, size_t tensor_arena_size, MicroResourceVariables *,
                                   MicroProfilerInterface *profiler, bool)
    : model_(model), resolver_(op_resolver), arena_(tensor_arena), bytes_(tensor_arena_size),
      profiler_(profiler)
{
}

static bool IsAligned(const void *p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

TfLiteStatus MicroInterpreter::AllocateTensors()
{
    const char mark[] = "TFL3";
    if (!set_up || !constructed || resolver_.Count() == 0 || !IsAligned(model_) || !IsAligned(arena_) ||
        std::memcmp(reinterpret_cast<const char *>(model_) + 4, mark, 4) != 0 || bytes_ < FAKE_ARENA_BYTES ||
        bytes_ < asc_fake_net.arena_bytes)
        return kTfLiteError;
    input_ = {kTfLiteInt8, {arena_ + asc_fake_net.input_offset}, asc_fake_net.input_bytes};
    output_ = {kTfLiteInt8, {arena_ + asc_fake_net.output_offset}, asc_fake_net.output_bytes};
    return kTfLiteOk;
}

static void Layer(void *context, uint32_t)
{
    auto *profiler = static_cast<MicroProfilerInterface *>(context);
    profiler->EndEvent(profiler->BeginEvent("layer"));
}

TfLiteStatus MicroInterpreter::Invoke()
{
    if (invoked_++ == FAKE_FAILS_AT)
        return kTfLiteError;
    asc_fake_net.invoke(arena_, Layer, profiler_);
    return kTfLiteOk;
}

TfLiteTensor *MicroInterpreter::input(size_t index) { return index == 0 ? &input_ : nullptr; }
TfLiteTensor *MicroInterpreter::output(size_t index) { return index == 0 ? &output_ : nullptr; }

} // namespace tflite
