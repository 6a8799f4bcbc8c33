/* The little of TFLM's API that generated code uses, with its signatures; behind it our own network. */
#ifndef FAKE_SCHEMA_H
#define FAKE_SCHEMA_H
#include <cstdint>

namespace tflite
{

struct Model {
    uint32_t version() const { return 3; }
};

inline const Model *GetModel(const void *content) { return static_cast<const Model *>(content); }

} // namespace tflite
#endif
