#ifndef FAKE_MICRO_MUTABLE_OP_RESOLVER_H
#define FAKE_MICRO_MUTABLE_OP_RESOLVER_H

typedef enum { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;

namespace tflite
{

class MicroOpResolver
{
  public:
    virtual ~MicroOpResolver() {}
    virtual unsigned int Count() const = 0;
    void operator delete(void *) {}
};

template <unsigned int tOpCount> class MicroMutableOpResolver : public MicroOpResolver
{
  public:
    /* those that tests use; each counts, and no more than there is room for */
    TfLiteStatus AddConv2D() { return Add(); }
    TfLiteStatus AddDepthwiseConv2D() { return Add(); }
    TfLiteStatus AddFullyConnected() { return Add(); }
    TfLiteStatus AddMaxPool2D() { return Add(); }
    TfLiteStatus AddAveragePool2D() { return Add(); }
    TfLiteStatus AddMean() { return Add(); }
    TfLiteStatus AddAdd() { return Add(); }
    TfLiteStatus AddReshape() { return Add(); }
    TfLiteStatus AddSoftmax() { return Add(); }
    unsigned int Count() const override { return count_ == tOpCount ? count_ : 0; }

  private:
    TfLiteStatus Add() { return count_++ < tOpCount ? kTfLiteOk : kTfLiteError; }
    unsigned int count_ = 0;
};

} // namespace tflite
#endif
