// Convolutions along a line of taps with fewer products than a sum over the taps has.
//
// Outputs that share their pixels are computed as a group. What a strip of groups reads is
// transformed into the cache; there is a matrix product for each position of the transform, in
// the tiles of all convolutions; and the products are transformed into results.

#ifndef HIERSEG_JAX_KERNELS_WINOGRAD_H_
#define HIERSEG_JAX_KERNELS_WINOGRAD_H_

#include "convolution_tile.h"
#include "winograd_transforms.h"

namespace hierseg {

// Taps one behind the other along the height or the width, which all results lie along.
class Line {
 public:
  Line(const std::vector<Tap>& taps, int64_t stride, Shape in, Shape out)
      : taps_(taps), in_(in), out_(out) {
    if (stride != 1 || taps.size() < 2) return;
    vertical_ = taps[0].row != taps[1].row;
    // Those of a transposed convolution come in the other order.
    if (At(taps[0]) > At(taps[1])) std::reverse(taps_.begin(), taps_.end());
    first_ = At(taps_[0]), step_ = At(taps_[1]) - first_;
    straight_ = (vertical_ ? out.width == in.width : out.height == in.height) && step_ > 0;
    for (const Tap& tap : taps_) straight_ &= (vertical_ ? tap.column : tap.row) == 0;
  }

  // The algorithm that is faster than the sum over the taps, or null.
  const Winograd* Faster() const {
    if (!straight_ || in_.channels % kLanes != 0) return nullptr;
    for (const Winograd* winograd : {&kWinograd<2, 4>, &kWinograd<3, 4>}) {
      if (winograd->taps != static_cast<int64_t>(taps_.size())) continue;
      // Products of each line; the sum over the taps leaves rows out that lie outside, but groups
      // that reach beyond the end are computed all the same.
      int64_t products = 0;
      for (const Tap& tap : taps_)
        for (int64_t i = 0; i < Length(out_); ++i)
          products += !vertical_ || (i + At(tap) >= 0 && i + At(tap) < Length(in_));
      // The transforms of a channel take as long as products with so many others (measured).
      constexpr int64_t kTransforms = 32;
      const int64_t channels = std::min(in_.channels, out_.channels);
      const int64_t fewer = winograd->positions * Groups(*winograd);
      if (fewer * (channels + kTransforms) < products * channels) return winograd;
    }
    return nullptr;
  }

  // Groups of a single line.
  int64_t Groups(const Winograd& winograd) const {
    const int64_t block = winograd.outputs * step_, length = Length(out_);
    return length / block * step_ + std::min(step_, length % block);
  }
  int64_t Lines() const { return vertical_ ? out_.width : out_.height; }

  struct Group {
    const float* pixels[kMaxPositions];
    float* outputs[kMaxOutputs];
  };

  // Where a group of an image's reads and writes: `zeros` and null where that is outside.
  Group Find(const Winograd& winograd, const float* x, float* y, int64_t image, int64_t index,
             const float* zeros) const {
    // Groups are in the order of the memory of their first outputs.
    const int64_t minors = vertical_ ? out_.width : Groups(winograd);
    const int64_t major = index / minors, minor = index % minors;
    const int64_t group = vertical_ ? major : minor, line = vertical_ ? minor : major;
    const int64_t begin = group / step_ * winograd.outputs * step_ + group % step_;
    const auto pixel = [&](const Shape& shape, int64_t at) {
      const int64_t row = vertical_ ? at : line, column = vertical_ ? line : at;
      return ((image * shape.height + row) * shape.width + column) * shape.channels;
    };
    Group found;
    for (int64_t k = 0; k < winograd.positions; ++k) {
      const int64_t at = begin + first_ + k * step_;
      found.pixels[k] = at >= 0 && at < Length(in_) ? x + pixel(in_, at) : zeros;
    }
    for (int64_t k = 0; k < winograd.outputs; ++k) {
      const int64_t at = begin + k * step_;
      found.outputs[k] = at < Length(out_) ? y + pixel(out_, at) : nullptr;
    }
    return found;
  }

  const std::vector<Tap>& taps() const { return taps_; }
  const Shape& in() const { return in_; }
  const Shape& out() const { return out_; }

 private:
  int64_t At(const Tap& tap) const { return vertical_ ? tap.row : tap.column; }
  int64_t Length(const Shape& shape) const { return vertical_ ? shape.height : shape.width; }

  std::vector<Tap> taps_;
  Shape in_, out_;
  int64_t first_ = 0, step_ = 0;
  bool vertical_ = false, straight_ = false;
};

// Memory that is written before it is read.
class Scratch {
 public:
  explicit Scratch(int64_t size) : size_(size), data_(Aligned<float>().allocate(size)) {}
  ~Scratch() { Aligned<float>().deallocate(data_, size_); }
  Scratch(const Scratch&) = delete;
  float* data() const { return data_; }

 private:
  int64_t size_;
  float* data_;
};

// Groups of whole tiles, few enough for what is made of them to stay near.
constexpr int64_t kStrip = 4 * kTileRows;
// Positions that are whole pages apart would take each other's places in the cache.
constexpr int64_t kApart = 3 * kLineBytes / sizeof(float);

// All groups of all images, strip by strip.
struct Strips {
  int64_t groups, per_image, total;

  Strips(const Line& line, const Winograd& winograd)
      : groups(line.Groups(winograd) * line.Lines()),
        per_image(CeilDiv(groups, kStrip)),
        total(per_image * line.out().batch) {}

  // Calls f(image, first group, count) for those of a chunk.
  template <typename F>
  void For(int64_t chunk, int64_t chunks, F f) const {
    for (int64_t s = chunk * total / chunks; s < (chunk + 1) * total / chunks; ++s) {
      const int64_t begin = s % per_image * kStrip;
      f(s / per_image, begin, std::min(groups - begin, kStrip));
    }
  }
};

static void ConvolveLine(const Threads& threads, const float* x, const float* weights,
                         const float* bias, float* y, const Line& line, const Winograd& winograd,
                         bool turned, bool relu) {
  const int64_t inputs = line.in().channels, outputs = line.out().channels;
  const int64_t padded = PaddedChannels(outputs), positions = winograd.positions;
  const AlignedVector<float> packed = PackWeights(weights, line.taps(), inputs, outputs, turned);
  const Scratch transformed(positions * inputs * padded);
  ForChannelTiles(outputs, [&](int64_t first, int vectors) {
    TransformWeights(winograd, &packed[winograd.taps * inputs * first], inputs * vectors * kLanes,
                     transformed.data() + positions * inputs * first);
  });
  AlignedVector<float> padded_bias(padded, 0.0f);
  if (bias != nullptr) std::copy_n(bias, outputs, padded_bias.data());
  const AlignedVector<float> zeros(std::max<int64_t>(inputs, 2 * kLanes), 0.0f);

  const Strips strips(line, winograd);
  const int64_t chunks = std::min<int64_t>(strips.total, 64);
  ParallelFor(threads, chunks, [&](int64_t chunk) {
    const int64_t pixels_step = kStrip * inputs + kApart;
    const int64_t products_step = kStrip * 2 * kLanes + kApart;
    const Scratch pixels(positions * pixels_step), products(positions * products_step);
    Line::Group groups[kStrip];
    strips.For(chunk, chunks, [&](int64_t image, int64_t begin, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        groups[i] = line.Find(winograd, x, y, image, begin + i, zeros.data());
        winograd.pixels(groups[i].pixels, inputs, pixels.data() + i * inputs, pixels_step);
      }
      ForChannelTiles(outputs, [&](int64_t first, int vectors) {
        const int64_t width = vectors * kLanes;
        for (int64_t j = 0; j < positions; ++j)
          ForPieces(count, [&](int64_t piece, int64_t size) {
            const float* row = pixels.data() + j * pixels_step + piece * inputs;
            ConvolvePixels(size, vectors,
                           {&row, 1, 0, inputs, inputs,
                            transformed.data() + (positions * first + j * width) * inputs,
                            zeros.data(), products.data() + j * products_step + piece * width, width, width, false});
          });
        for (int64_t i = 0; i < count; ++i)
          winograd.products(products.data() + i * width, products_step, &padded_bias[first], relu,
                            groups[i].outputs, first, std::min(outputs - first, width));
      });
    });
  });
}

// A chunk's part of the gradient of a kernel, [tap][input][padded output], and behind it that of
// the bias, which is 0 before.
static void GradientOfLine(const float* x, float* dy, const Line& line, const Winograd& winograd,
                           int64_t chunk, int64_t chunks, float* sum) {
  const int64_t inputs = line.in().channels, outputs = line.out().channels;
  const int64_t padded = PaddedChannels(outputs), positions = winograd.positions;
  const AlignedVector<float> zeros(std::max(inputs, padded), 0.0f);
  AlignedVector<float> products(positions * inputs * padded, 0.0f);
  const int64_t pixels_step = kStrip * inputs + kApart, gradients_step = kStrip * padded + kApart;
  const Scratch pixels(positions * pixels_step), gradients(positions * gradients_step);
  float* bias_sum = sum + winograd.taps * inputs * padded;
  Strips(line, winograd).For(chunk, chunks, [&](int64_t image, int64_t begin, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const Line::Group group = line.Find(winograd, x, dy, image, begin + i, zeros.data());
      const float* of_outputs[kMaxOutputs];
      for (int64_t k = 0; k < winograd.outputs; ++k)
        of_outputs[k] = group.outputs[k] ? group.outputs[k] : zeros.data();
      winograd.pixels(group.pixels, inputs, pixels.data() + i * inputs, pixels_step);
      winograd.gradients(of_outputs, outputs, gradients.data() + i * padded, gradients_step,
                         bias_sum);
    }
    for (int64_t j = 0; j < positions; ++j)
      ForChannelTiles(outputs, [&](int64_t first, int vectors) {
        ForPieces(inputs, [&](int64_t c, int64_t size) {
          GradientChannels(size, vectors, pixels.data() + j * pixels_step + c, inputs,
                           gradients.data() + j * gradients_step + first, padded, count,
                           &products[(j * inputs + c) * padded + first], padded);
        });
      });
  });
  TransformWeightGradients(winograd, products.data(), inputs * padded, sum);
}

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_WINOGRAD_H_
