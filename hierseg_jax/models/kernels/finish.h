// What follows a convolution's sums in the same pass: their bias, a batch norm by a mean and a
// variance that are known, a shortcut and an activation.

#ifndef HIERSEG_JAX_KERNELS_FINISH_H_
#define HIERSEG_JAX_KERNELS_FINISH_H_

#include "activations.h"
#include "taps.h"

namespace hierseg {

// activation(shortcut + scale (sum + bias - mean) / sqrt(variance + epsilon) + offset), or what of
// it there is.
class Finish {
 public:
  // What is empty is not there; mean, variance, scale and offset are of y's channels or all empty.
  Finish(Input bias, Input mean, Input variance, Input scale, Input offset, Input shortcut, Output y,
         int64_t activation, float epsilon)
      : slopes_(mean.element_count()),
        bias_(PaddedChannels(ShapeOf(*y).channels), 0.0f),
        shortcut_(shortcut.elements_if_any()),
        y_(y->elements()),
        activation_(activation) {
    std::copy_n(bias.typed_data(), bias.element_count(), bias_.data());
    for (size_t c = 0; c < slopes_.size(); ++c) {
      slopes_[c] = scale.typed_data()[c] / __builtin_sqrtf(variance.typed_data()[c] + epsilon);
      bias_[c] = (bias_[c] - mean.typed_data()[c]) * slopes_[c] + offset.typed_data()[c];
    }
  }

  // By which the weights of an output channel are multiplied before.
  float Slope(int64_t channel) const { return slopes_.empty() ? 1.0f : slopes_[channel]; }
  // Of whole vectors: what is added to the sums.
  const float* bias() const { return bias_.data(); }
  // Whether, at most, negative sums become 0, which a tile does in its registers.
  bool IsSimple() const {
    return shortcut_ == nullptr && (activation_ == kNone || activation_ == kRelu);
  }
  bool IsRelu() const { return IsSimple() && activation_ == kRelu; }

  // The result at a place of y for a sum that has its bias.
  HIERSEG_INLINE Vector Result(Vector sum, const Element* at, int64_t count) const {
    if (shortcut_ != nullptr) sum += LoadUpTo(shortcut_ + (at - y_), count);
    switch (activation_) {
      case kRelu:
        return Activate<kRelu>(sum);
      case kSilu:
        return Activate<kSilu>(sum);
      case kRelu6:
        return Activate<kRelu6>(sum);
      default:
        return sum;
    }
  }

  // Of a vector of channels.
  HIERSEG_NOINLINE void StoreResults(const Vector* sums, int64_t pixels, Element* at, int64_t step,
                                     int64_t channels) const {
    for (int64_t p = 0; p < pixels; ++p, at += step)
      StoreUpTo(at, Result(sums[p], at, channels), channels);
  }

  // Sums that lie in y, of some pixels and of up to two vectors of channels -> results.
  HIERSEG_NOINLINE void InPlace(Element* at, int64_t step, int64_t pixels, int64_t channels) const {
    const int64_t count = std::min<int64_t>(channels, 2 * kLanes);
    for (int64_t p = 0; p < pixels; ++p, at += step)
      for (int64_t c = 0; c < count; c += kLanes)
        StoreUpTo(at + c, Result(LoadUpTo(at + c, channels - c), at + c, channels - c),
                  channels - c);
  }

 private:
  std::vector<float> slopes_, bias_;
  const Element *shortcut_, *y_;
  int64_t activation_;
};

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_FINISH_H_
