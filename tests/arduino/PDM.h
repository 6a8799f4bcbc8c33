// What our sketches use of the PDM library of Arduino's Mbed cores, with its signatures; for tests.
//
// A buffer passes, and its callback is called, whenever the sketch yields: time stands still while it
// computes. Plays the raw s16le file that MCU_ASC_MIC names, then silence.  As the real one it stops for
// good, without a word, when a buffer is not fetched at once; MCU_ASC_STALL=N lets it stop so after N
// buffers, once.
#ifndef PDM_H
#define PDM_H
#include "Arduino.h"

class PDMClass
{
  public:
    int begin(int channels, int sampleRate);
    void end();
    int available();
    int read(void *buffer, size_t size);
    void onReceive(void (*)(void));
    void setGain(int) {}
    void setBufferSize(int bufferSize);
};
extern PDMClass PDM;
#endif
