// The pixels of an array [B, h, w, C], in pieces of work that do not depend on the threads.

#ifndef HIERSEG_JAX_KERNELS_PIXELS_H_
#define HIERSEG_JAX_KERNELS_PIXELS_H_

#include "vectors.h"

namespace hierseg {

constexpr int64_t kBlock = 64;  // pixels

struct Pixels {
  int64_t images, per_image, channels, pieces;

  explicit Pixels(Input x) {
    const int64_t* d = x.dimensions();
    images = d[0], per_image = d[1] * d[2], channels = d[3];
    // At least 32 pieces of work, no piece over two images.
    pieces = std::min(CeilDiv(per_image, kBlock), std::max<int64_t>(CeilDiv(32, images), 1));
  }
  int64_t total() const { return images * pieces; }

  // Calls f(image, first pixel, count) for the blocks of a piece.
  template <typename F>
  void ForBlocks(int64_t piece, F f) const {
    const int64_t image = piece / pieces, part = piece % pieces;
    const int64_t end = image * per_image + (part + 1) * per_image / pieces;
    for (int64_t p = image * per_image + part * per_image / pieces; p < end; p += kBlock)
      f(image, p, std::min(kBlock, end - p));
  }
};

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_PIXELS_H_
