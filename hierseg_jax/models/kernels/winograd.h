// Convolutions with fewer products than a sum over their taps has.
//
// Outputs that lie along the taps and share pixels are computed as a group. What a strip of groups
// reads is transformed into the cache; there is a matrix product for each position of the
// transform, in the tiles of all convolutions; and the products are transformed into results.

#ifndef HIERSEG_JAX_KERNELS_WINOGRAD_H_
#define HIERSEG_JAX_KERNELS_WINOGRAD_H_

#include "convolution_tile.h"
#include "winograd_transforms.h"

namespace hierseg {

// Lines of pixels along the taps: the columns of an image, or its rows where all taps lie in one.
// Taps of the same row, across the lines, are summed as ever.
class Lines {
 public:
  Lines(std::vector<Tap> taps, int64_t stride, Shape in, Shape out) : in_(in), out_(out) {
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

  // The algorithm that is faster than the sum over the taps, or null.
  const Winograd* Faster() const {
    if (taps_.empty() || in_.channels < kLanes) return nullptr;
    for (const Winograd* winograd : {&kWinograd<2, 4>, &kWinograd<3, 4>}) {
      if (winograd->taps != along_) continue;
      // Products of each line; the sum over the taps leaves rows out that lie outside, but groups
      // that reach beyond the end are computed all the same.
      int64_t products = 0;
      for (int64_t i = 0; i < along_; ++i)
        for (int64_t at = first_ + i * step_, o = 0; o < Length(out_); ++o)
          products += !vertical_ || (o + at >= 0 && o + at < Length(in_));
      // The transforms of a channel take as long as products with so many others (measured).
      constexpr int64_t kTransforms = 32;
      const int64_t channels = std::min(in_.channels, out_.channels) * across_;
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

  // What the group of that number reads in an image, or one so many lines beyond: `zeros` outside.
  void FindPixels(const Winograd& winograd, const float* x, int64_t image, int64_t number,
                  int64_t beyond, const float* zeros, const float** pixels) const {
    const Place place = Find(winograd, number);
    const int64_t line = place.line + first_across_ + beyond;
    const bool outside = line < 0 || line >= (vertical_ ? in_.width : in_.height);
    for (int64_t k = 0; k < winograd.positions; ++k) {
      const int64_t at = place.at + first_ + k * step_;
      pixels[k] = outside || at < 0 || at >= Length(in_) ? zeros : x + Pixel(in_, image, line, at);
    }
  }

  // Where it writes; `otherwise` outside.
  void FindOutputs(const Winograd& winograd, float* y, int64_t image, int64_t number,
                   float* otherwise, float** outputs) const {
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

// Groups of some tiles, few enough for what is made of them to stay near.
constexpr int64_t kStrip = 5 * kTileRows;
// Positions that are whole pages apart would take each other's places in the cache.
constexpr int64_t kApart = 3 * kLineBytes / sizeof(float);

// All groups of all images, strip by strip. A strip that shares its pixels across the lines is
// one of neighbours.
struct Strips {
  int64_t rows, length, pieces, total;

  Strips(const Lines& lines, const Winograd& winograd) {
    const int64_t groups = lines.Groups(winograd);
    rows = lines.across() > 1 ? groups : 1;
    length = groups * lines.count() / rows;
    pieces = CeilDiv(length, kStrip);
    total = lines.out().batch * rows * pieces;
  }

  // Calls f(image, first group, count) for those of a chunk.
  template <typename F>
  void For(int64_t chunk, int64_t chunks, F f) const {
    for (int64_t s = chunk * total / chunks; s < (chunk + 1) * total / chunks; ++s) {
      const int64_t piece = s % pieces, row = s / pieces;
      const int64_t begin = piece * kStrip;
      f(row / rows, row % rows * length + begin, std::min(length - begin, kStrip));
    }
  }
};

// The transformed pixels of a strip, [position][group and those beyond][channel].
class StripPixels {
 public:
  StripPixels(const Lines& lines, const Winograd& winograd)
      : lines_(lines),
        winograd_(winograd),
        channels_(lines.in().channels),
        beyond_((lines.across() - 1) * lines.step_across()),
        step_((kStrip + beyond_) * channels_ + kApart),
        zeros_(channels_, 0.0f),
        transformed_(winograd.positions * step_) {}

  void Transform(const float* x, int64_t image, int64_t begin, int64_t count) {
    const float* pixels[kMaxPositions];
    for (int64_t i = 0; i < count + beyond_; ++i) {
      const int64_t beyond = beyond_ ? i : 0;
      lines_.FindPixels(winograd_, x, image, begin + i - beyond, beyond, zeros_.data(), pixels);
      winograd_.pixels(pixels, channels_, transformed_.data() + i * channels_, step_);
    }
    // What the last tile of a row reads beyond them.
    const int64_t last = CeilDiv(count, kTileRows) * kTileRows;
    for (int64_t j = 0; j < winograd_.positions; ++j) {
      float* row = transformed_.data() + j * step_;
      std::fill(row + (count + beyond_) * channels_, row + (last + beyond_) * channels_, 0.0f);
    }
  }
  // From the strip's first group on.
  const float* At(int64_t position, int64_t across) const {
    return transformed_.data() + position * step_ + across * lines_.step_across() * channels_;
  }

 private:
  const Lines& lines_;
  const Winograd& winograd_;
  int64_t channels_, beyond_, step_;
  AlignedVector<float> zeros_;
  Scratch transformed_;
};

// As many pixels as a row of tiles has, or a few more: a tile for each number of pixels takes long
// to compile.
static void ConvolveRow(int64_t pixels, int vectors, TileArguments a) {
  constexpr int kHalf = (kTileRows + 1) / 2;
  for (; pixels > 0; pixels -= kTileRows) {
    if (vectors == 2)
      pixels > kHalf ? ConvolveTile<kTileRows, 2>(a) : ConvolveTile<kHalf, 2>(a);
    else
      pixels > kHalf ? ConvolveTile<kTileRows, 1>(a) : ConvolveTile<kHalf, 1>(a);
    a.offset += kTileRows * a.pixel_step;
    a.y += kTileRows * a.y_step;
  }
}

static void ConvolveLines(const Threads& threads, const float* x, const float* weights,
                          const float* bias, float* y, const Lines& lines,
                          const Winograd& winograd, bool turned, bool relu) {
  const int64_t inputs = lines.in().channels, outputs = lines.out().channels;
  const int64_t padded = PaddedChannels(outputs), positions = winograd.positions;
  const int64_t across = lines.across();
  const AlignedVector<float> packed = PackWeights(weights, lines.taps(), inputs, outputs, turned);
  // [tile of channels][position][across][input][channel of the tile]
  const Scratch transformed(positions * across * inputs * padded);
  ForChannelTiles(outputs, [&](int64_t first, int vectors) {
    const int64_t size = inputs * vectors * kLanes;
    const float* from = &packed[winograd.taps * across * inputs * first];
    float* to = transformed.data() + positions * across * inputs * first;
    for (int64_t b = 0; b < across; ++b)
      TransformWeights(winograd, from + b * winograd.taps * size, size, to + b * size,
                       across * size);
  });
  AlignedVector<float> padded_bias(padded, 0.0f);
  if (bias != nullptr) std::copy_n(bias, outputs, padded_bias.data());
  constexpr float kZeros[2 * kLanes] = {};

  const Strips strips(lines, winograd);
  const int64_t chunks = std::min<int64_t>(strips.total, 64);
  ParallelFor(threads, chunks, [&](int64_t chunk) {
    StripPixels pixels(lines, winograd);
    const int64_t products_step = kStrip * 2 * kLanes + kApart;
    const Scratch products(positions * products_step);
    std::vector<const float*> taps(across);
    strips.For(chunk, chunks, [&](int64_t image, int64_t begin, int64_t count) {
      pixels.Transform(x, image, begin, count);
      const float* w = transformed.data();
      ForChannelTiles(outputs, [&](int64_t first, int vectors) {
        const int64_t width = vectors * kLanes;
        for (int64_t j = 0; j < positions; ++j, w += across * inputs * width) {
          for (int64_t b = 0; b < across; ++b) taps[b] = pixels.At(j, b);
          ConvolveRow(count, vectors,
                      {taps.data(), across, 0, inputs, inputs, w, kZeros,
                       products.data() + j * products_step, width, width, false});
        }
        for (int64_t i = 0; i < count; ++i) {
          float* of_group[kMaxOutputs];
          lines.FindOutputs(winograd, y, image, begin + i, nullptr, of_group);
          winograd.products(products.data() + i * width, products_step, &padded_bias[first], relu,
                            of_group, first, std::min(outputs - first, width));
        }
      });
    });
  });
}

// A chunk's part of the gradient of a kernel, [tap][input][padded output], and behind it that of
// the bias, which is 0 before.
static void GradientOfLines(const float* x, float* dy, const Lines& lines,
                            const Winograd& winograd, int64_t chunk, int64_t chunks, float* sum) {
  const int64_t inputs = lines.in().channels, outputs = lines.out().channels;
  const int64_t padded = PaddedChannels(outputs), positions = winograd.positions;
  const int64_t across = lines.across(), size = inputs * padded;
  AlignedVector<float> zeros(padded, 0.0f), products(across * positions * size, 0.0f);
  StripPixels pixels(lines, winograd);
  const int64_t gradients_step = kStrip * padded + kApart;
  const Scratch gradients(positions * gradients_step);
  float* bias_sum = sum + winograd.taps * across * size;
  Strips(lines, winograd).For(chunk, chunks, [&](int64_t image, int64_t begin, int64_t count) {
    pixels.Transform(x, image, begin, count);
    for (int64_t i = 0; i < count; ++i) {
      float* of_group[kMaxOutputs];
      lines.FindOutputs(winograd, dy, image, begin + i, zeros.data(), of_group);
      winograd.gradients(of_group, outputs, gradients.data() + i * padded, gradients_step,
                         bias_sum);
    }
    for (int64_t p = 0; p < across * positions; ++p) {
      const int64_t b = p / positions, j = p % positions;
      ForChannelTiles(outputs, [&](int64_t first, int vectors) {
        ForPieces(inputs, [&](int64_t c, int64_t channels) {
          GradientChannels(channels, vectors, pixels.At(j, b) + c, inputs,
                           gradients.data() + j * gradients_step + first, padded, count,
                           &products[p * size + c * padded + first], padded);
        });
      });
    }
  });
  for (int64_t b = 0; b < across; ++b)
    TransformWeightGradients(winograd, &products[b * positions * size], size, sum + b * size,
                             across * size);
}

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_WINOGRAD_H_
