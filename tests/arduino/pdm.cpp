// See PDM.h.
#include "PDM.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

PDMClass PDM;
extern void (*on_yield)(); // host.cpp

static struct {
    FILE *file;
    void (*callback)(void);
    uint8_t *buffer;
    size_t size, left;
    long stall;
    bool runs;
} state;

static void pass()
{
    if (!state.runs || (state.stall > 0 && --state.stall == 0)) {
        state.runs = false;
        return;
    }
    size_t got = fread(state.buffer, 1, state.size, state.file);
    memset(state.buffer + got, 0, state.size - got);
    state.left = state.size;
    state.callback();
    state.runs = state.left == 0;
}

int PDMClass::begin(int channels, int sampleRate)
{
    const char *stall = getenv("MCU_ASC_STALL");
    if (channels != 1 || (sampleRate != 16000 && sampleRate != 41667) || state.callback == nullptr) {
        return 0;
    }
    if (state.file == nullptr) {
        state.file = fopen(getenv("MCU_ASC_MIC"), "rb");
        state.stall = stall ? atol(stall) : 0;
    }
    state.buffer = static_cast<uint8_t *>(realloc(state.buffer, state.size));
    state.runs = true;
    on_yield = pass;
    return 1;
}

void PDMClass::end() { state.runs = false; }
int PDMClass::available() { return static_cast<int>(state.left); }
void PDMClass::onReceive(void (*callback)(void)) { state.callback = callback; }
void PDMClass::setBufferSize(int size) { state.size = static_cast<size_t>(size); }

int PDMClass::read(void *buffer, size_t size)
{
    size_t n = size < state.left ? size : state.left;
    memcpy(buffer, state.buffer + state.size - state.left, n);
    state.left -= n;
    return static_cast<int>(n);
}
