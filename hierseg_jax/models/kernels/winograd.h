// Convolutions with fewer products than a sum over their taps has.
//
// Outputs that lie along the taps and share pixels are computed as a group. What a strip of groups
// reads is transformed into the cache; there is a matrix product for each position of the
// transform, in the tiles of all convolutions; and the products are transformed into results.

#ifndef HIERSEG_JAX_KERNELS_WINOGRAD_H_
#define HIERSEG_JAX_KERNELS_WINOGRAD_H_

#include "convolution_tile.h"
#include "lines.h"

namespace hierseg {

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

  // How many to compute by each weight before the next: weights that don't fit into a core's cache
  // come from memory that cores share. There is to be work for some threads nevertheless.
  int64_t Together(int64_t weights) const {
    constexpr int64_t kInCache = 1 << 18, kSome = 4, kThreads = 8;
    const int64_t most = weights > kInCache ? kSome : 1;
    return std::max<int64_t>(std::min(most, total / kThreads), 1);
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

// The transformed pixels of some strips, [strip][position][group and those beyond][channel].
class StripPixels {
 public:
  StripPixels(const Lines& lines, const Winograd& winograd, int64_t strips = 1)
      : lines_(lines),
        winograd_(winograd),
        channels_(lines.in().channels),
        beyond_((lines.across() - 1) * lines.step_across()),
        step_((kStrip + beyond_) * channels_ + kApart),
        zeros_(channels_, 0.0f),
        transformed_(strips * winograd.positions * step_) {}

  HIERSEG_NOINLINE void Transform(const float* x, int64_t image, int64_t begin, int64_t count,
                                  int64_t strip = 0) {
    float* to = transformed_.data() + strip * winograd_.positions * step_;
    const float* pixels[kMaxPositions];
    for (int64_t i = 0; i < count + beyond_; ++i) {
      const int64_t beyond = beyond_ ? i : 0;
      lines_.FindPixels(winograd_, x, image, begin + i - beyond, beyond, zeros_.data(), pixels);
      winograd_.pixels(pixels, channels_, to + i * channels_, step_);
    }
    // What the last tile of a row reads beyond them.
    const int64_t last = CeilDiv(count, kTileRows) * kTileRows;
    for (int64_t j = 0; j < winograd_.positions; ++j) {
      float* row = to + j * step_;
      std::fill(row + (count + beyond_) * channels_, row + (last + beyond_) * channels_, 0.0f);
    }
  }
  // From the strip's first group on.
  const float* At(int64_t position, int64_t across, int64_t strip = 0) const {
    return transformed_.data() + (strip * winograd_.positions + position) * step_ +
           across * lines_.step_across() * channels_;
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

static void ConvolveLines(const Threads& threads, const float* x, const float* weights, float* y,
                          const Lines& lines, const Winograd& winograd, bool turned,
                          const Finish& finish) {
  const int64_t inputs = lines.in().channels, outputs = lines.out().channels;
  const int64_t padded = PaddedChannels(outputs), positions = winograd.positions;
  const int64_t across = lines.across();
  const Weights unpacked{weights, lines.taps(), inputs, outputs, turned, finish};
  // [tile of channels][position][across][input][channel of the tile]
  const Scratch transformed(positions * across * inputs * padded);
  ForChannelTiles(threads, outputs, unpacked.PaddedSize(), [&](int64_t first, int vectors) {
    const int64_t size = inputs * vectors * kLanes;
    const Scratch packed(winograd.taps * across * size);
    unpacked.Pack(first, vectors, packed.data());
    float* to = transformed.data() + positions * across * inputs * first;
    for (int64_t b = 0; b < across; ++b)
      TransformWeights(winograd, packed.data() + b * winograd.taps * size, size, to + b * size,
                       across * size);
  });
  constexpr float kZeros[2 * kLanes] = {};

  const Strips strips(lines, winograd);
  const int64_t together = strips.Together(positions * across * inputs * padded);
  const int64_t parts = CeilDiv(strips.total, together), chunks = std::min<int64_t>(parts, 64);
  ParallelFor(threads, chunks, [&](int64_t chunk) {
    StripPixels pixels(lines, winograd, together);
    const int64_t products_step = kStrip * 2 * kLanes + kApart;
    const int64_t products_of_strip = positions * products_step;
    const Scratch products(together * products_of_strip);
    std::vector<const float*> taps(across);
    struct Strip {
      int64_t image, begin, count;
    };
    std::vector<Strip> here;
    for (int64_t part = chunk * parts / chunks; part < (chunk + 1) * parts / chunks; ++part) {
      here.clear();
      strips.For(part, parts, [&](int64_t image, int64_t begin, int64_t count) {
        pixels.Transform(x, image, begin, count, here.size());
        here.push_back({image, begin, count});
      });
      const float* w = transformed.data();
      ForChannelTiles(outputs, [&](int64_t first, int vectors) {
        const int64_t width = vectors * kLanes;
        for (int64_t j = 0; j < positions; ++j, w += across * inputs * width)
          for (size_t s = 0; s < here.size(); ++s) {
            for (int64_t b = 0; b < across; ++b) taps[b] = pixels.At(j, b, s);
            ConvolveRow(here[s].count, vectors,
                        {taps.data(), across, 0, inputs, inputs, w, kZeros,
                         products.data() + s * products_of_strip + j * products_step, width, width,
                         false});
          }
        for (size_t s = 0; s < here.size(); ++s)
          for (int64_t i = 0; i < here[s].count; ++i) {
            float* of_group[kMaxOutputs];
            lines.FindOutputs(winograd, y, here[s].image, here[s].begin + i, nullptr, of_group);
            winograd.products(products.data() + s * products_of_strip + i * width, products_step,
                              finish, of_group, first, std::min(outputs - first, width));
          }
      });
    }
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
