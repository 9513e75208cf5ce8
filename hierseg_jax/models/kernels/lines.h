// Lines of pixels, which convolutions with fewer products are computed along, and which those are.

#ifndef HIERSEG_JAX_KERNELS_LINES_H_
#define HIERSEG_JAX_KERNELS_LINES_H_

#include "taps.h"
#include "winograd_transforms.h"

namespace hierseg {

// Lines of pixels along the taps: the columns of an image, or its rows where all taps lie in one.
// Taps of the same row, across the lines, are summed as ever.
class Lines {
 public:
  HIERSEG_NOINLINE Lines(std::vector<Tap> taps, int64_t stride, Shape in, Shape out)
      : in_(in), out_(out) {
    if (stride != 1 || taps.size() < 2) return;
    // Those of a transposed convolution come in the other order.
    if (taps.front().row > taps.back().row || taps.front().column > taps.back().column)
      std::reverse(taps.begin(), taps.end());
    const int64_t count = taps.size();
    while (width_ < count && taps[width_].row == taps[0].row) ++width_;
    vertical_ = width_ < count;
    across_ = vertical_ ? width_ : 1, along_ = count / across_;
    first_ = vertical_ ? taps[0].row : taps[0].column;
    first_across_ = vertical_ ? taps[0].column : taps[0].row;
    step_ = vertical_ ? taps[width_].row - first_ : taps[1].column - first_;
    step_across_ = across_ > 1 ? taps[1].column - first_across_ : 0;
    for (int64_t b = 0; b < across_; ++b)
      for (int64_t a = 0; a < along_; ++a) taps_.push_back(taps[a * across_ + b]);
  }

  // The algorithm that is faster than the sum over the taps, or null. Transforming the weights, or
  // their gradients, takes as long as the products of so many groups.
  HIERSEG_NOINLINE const Winograd* Faster(int64_t groups_of_weights) const {
    if (taps_.empty() || in_.channels < kLanes) return nullptr;
    for (const Winograd* winograd : {&kWinograd<2, 4>, &kWinograd<3, 4>}) {
      if (winograd->taps != along_) continue;
      // Products of each line; the sum over the taps leaves rows out that lie outside, but groups
      // that reach beyond the end are computed all the same.
      int64_t products = 0;
      for (int64_t i = 0; i < along_; ++i)
        for (int64_t at = first_ + i * step_, o = 0; o < Length(out_); ++o)
          products += !vertical_ || (o + at >= 0 && o + at < Length(in_));
      // Measured: the transforms of a channel take as long as products with so many others. An
      // image's results are not to depend on how many there are, so let it be a usual number.
      constexpr int64_t kTransforms = 32, kImages = 8;
      const int64_t channels = std::min(in_.channels, out_.channels) * across_;
      const int64_t lines = kImages * count(), groups = lines * Groups(*winograd);
      const int64_t fewer = groups * (channels + kTransforms) + groups_of_weights * channels;
      if (winograd->positions * fewer < lines * products * channels) return winograd;
    }
    return nullptr;
  }
  static constexpr int64_t kGroupsOfWeights = 40, kGroupsOfGradients = 256;

  // Groups of a single line.
  int64_t Groups(const Winograd& winograd) const {
    const int64_t block = winograd.outputs * step_, length = Length(out_);
    return length / block * step_ + std::min(step_, length % block);
  }

  // What the group of that number reads in an image, or one so many lines beyond: `zeros` outside.
  HIERSEG_NOINLINE void FindPixels(const Winograd& winograd, const float* x, int64_t image,
                                   int64_t number, int64_t beyond, const float* zeros,
                                   const float** pixels) const {
    const Place place = Find(winograd, number);
    const int64_t line = place.line + first_across_ + beyond;
    const bool outside = line < 0 || line >= (vertical_ ? in_.width : in_.height);
    for (int64_t k = 0; k < winograd.positions; ++k) {
      const int64_t at = place.at + first_ + k * step_;
      pixels[k] = outside || at < 0 || at >= Length(in_) ? zeros : x + Pixel(in_, image, line, at);
    }
  }

  // Where it writes; `otherwise` outside.
  HIERSEG_NOINLINE void FindOutputs(const Winograd& winograd, float* y, int64_t image,
                                    int64_t number, float* otherwise, float** outputs) const {
    const Place place = Find(winograd, number);
    for (int64_t k = 0; k < winograd.outputs; ++k) {
      const int64_t at = place.at + k * step_;
      outputs[k] = at < Length(out_) ? y + Pixel(out_, image, place.line, at) : otherwise;
    }
  }

  // In the order across, along.
  const std::vector<Tap>& taps() const { return taps_; }
  int64_t across() const { return across_; }
  int64_t step_across() const { return step_across_; }
  int64_t count() const { return vertical_ ? out_.width : out_.height; }
  const Shape& in() const { return in_; }
  const Shape& out() const { return out_; }

 private:
  struct Place {
    int64_t line, at;
  };

  // Groups are in the order of the memory of their first outputs.
  Place Find(const Winograd& winograd, int64_t number) const {
    const int64_t minors = vertical_ ? out_.width : Groups(winograd);
    const int64_t major = number / minors, minor = number % minors;
    const int64_t group = vertical_ ? major : minor;
    return {vertical_ ? minor : major, group / step_ * winograd.outputs * step_ + group % step_};
  }
  int64_t Pixel(const Shape& shape, int64_t image, int64_t line, int64_t at) const {
    const int64_t row = vertical_ ? at : line, column = vertical_ ? line : at;
    return ((image * shape.height + row) * shape.width + column) * shape.channels;
  }
  int64_t Length(const Shape& shape) const { return vertical_ ? shape.height : shape.width; }

  Shape in_, out_;
  std::vector<Tap> taps_;
  int64_t width_ = 0, across_ = 1, along_ = 0, first_ = 0, first_across_ = 0;
  int64_t step_ = 0, step_across_ = 0;
  bool vertical_ = false;
};

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_LINES_H_
