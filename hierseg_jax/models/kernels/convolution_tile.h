// A tile of a convolution's results that stays in registers, and the weights as it reads them.

#ifndef HIERSEG_JAX_KERNELS_CONVOLUTION_TILE_H_
#define HIERSEG_JAX_KERNELS_CONVOLUTION_TILE_H_

#include "finish.h"

namespace hierseg {

struct TileArguments {
  const float* const* taps;
  int64_t tap_count, offset, pixel_step, depth;
  const float* weights;
  const float* bias;
  float* y;
  int64_t y_step, channels;
  bool relu;
};

template <int kPixels, int kVectors>
HIERSEG_INLINE void ConvolveTile(const TileArguments& a) {
  Vector sum[kPixels][kVectors];
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[p][v] = Vector{};
  for (int64_t t = 0; t < a.tap_count; ++t) {
    if (a.taps[t] == nullptr) continue;
    const float* x = a.taps[t] + a.offset;
    const float* w = a.weights + t * a.depth * kVectors * kLanes;
    for (int64_t c = 0; c < a.depth; ++c) {
      Vector row[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) row[v] = Load(w + (c * kVectors + v) * kLanes);
#pragma GCC unroll 8
      for (int p = 0; p < kPixels; ++p) {
        const float value = x[p * a.pixel_step + c];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sum[p][v] += row[v] * value;
      }
    }
  }
  // The bias comes last: sums that began with a large one would round as large ones do.
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[p][v] += Load(a.bias + v * kLanes);
  if (a.relu)
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[p][v] = sum[p][v] < 0.0f ? Vector{} : sum[p][v];
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v)
      StoreUpTo(a.y + p * a.y_step + v * kLanes, sum[p][v], a.channels - v * kLanes);
}

// dW of one tile of input channels times output channels, from one row of pixels.
template <int kChannels, int kVectors>
static void GradientTile(const float* x, int64_t x_step, const float* dy, int64_t dy_step,
                         int64_t pixels, float* sums, int64_t sums_step) {
  Vector sum[kChannels][kVectors];
  // From 0, and added to the sums of other rows at the end: that rounds less.
#pragma GCC unroll 8
  for (int c = 0; c < kChannels; ++c)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[c][v] = Vector{};
  for (int64_t p = 0; p < pixels; ++p) {
    Vector row[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) row[v] = Load(dy + p * dy_step + v * kLanes);
#pragma GCC unroll 8
    for (int c = 0; c < kChannels; ++c) {
      const float value = x[p * x_step + c];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[c][v] += row[v] * value;
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < kChannels; ++c)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      float* to = sums + c * sums_step + v * kLanes;
      Store(to, Load(to) + sum[c][v]);
    }
}

HIERSEG_INLINE void GradientChannels(int64_t channels, int vectors, const float* x, int64_t x_step,
                                     const float* dy, int64_t dy_step, int64_t pixels, float* sums,
                                     int64_t sums_step) {
  WithConstant(channels, [&](auto constant) {
    if (vectors == 2)
      GradientTile<constant(), 2>(x, x_step, dy, dy_step, pixels, sums, sums_step);
    else
      GradientTile<constant(), 1>(x, x_step, dy, dy_step, pixels, sums, sums_step);
  });
}

// Weights [tap][input][output], or turned, [tap][output][input].
struct Weights {
  const float* all;
  const std::vector<Tap>& taps;
  int64_t inputs, outputs;
  bool turned;
  const Finish& finish;

  int64_t PaddedSize() const { return taps.size() * inputs * PaddedChannels(outputs); }

  // Those of a tile of channels, in the order in which it reads them.
  void Pack(int64_t first, int vectors, float* to) const {
    const int64_t count = std::min<int64_t>(outputs - first, vectors * kLanes);
    float slopes[2 * kLanes];
    for (int64_t o = 0; o < count; ++o) slopes[o] = finish.Slope(first + o);
    for (const Tap& tap : taps)
      for (int64_t c = 0; c < inputs; ++c, to += vectors * kLanes) {
        const float* from = turned ? all + (tap.index * outputs + first) * inputs + c
                                   : all + (tap.index * inputs + c) * outputs + first;
        for (int64_t o = 0; o < count; ++o) to[o] = slopes[o] * from[turned ? o * inputs : o];
        std::fill(to + count, to + vectors * kLanes, 0.0f);
      }
  }
};

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_CONVOLUTION_TILE_H_
