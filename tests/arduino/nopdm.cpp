// A PDM library that links and hears nothing.
#include "PDM.h"
PDMClass PDM;
int PDMClass::begin(int, int) { return 1; }
void PDMClass::end() {}
int PDMClass::available() { return 0; }
int PDMClass::read(void *, size_t) { return 0; }
void PDMClass::onReceive(void (*)(void)) {}
void PDMClass::setBufferSize(int) {}
