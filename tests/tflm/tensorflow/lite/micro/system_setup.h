#ifndef FAKE_SYSTEM_SETUP_H
#define FAKE_SYSTEM_SETUP_H
namespace tflite
{
void InitializeTarget();
}
#endif
