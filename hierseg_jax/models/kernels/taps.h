// Convolutions as sums over taps, and the loops that all of them share.

#ifndef HIERSEG_JAX_KERNELS_TAPS_H_
#define HIERSEG_JAX_KERNELS_TAPS_H_

#include "vectors.h"

namespace hierseg {
struct Shape {
  int64_t batch, height, width, channels;
};

inline Shape ShapeOf(Input array) {
  const int64_t* d = array.dimensions();
  return {d[0], d[1], d[2], d[3]};
}

struct Geometry {
  int64_t stride, dilation_h, dilation_w, pad_h, pad_w;
};

// Input pixel = grid pixel * input_step + (row, column).
struct Tap {
  int64_t row, column, index;
};

// The output pixels grid * output_step + (row, column) and the taps they are sums of.
struct Phase {
  int64_t row, column, rows, columns;
  std::vector<Tap> taps;
};

// Pointers to the input's rows under the taps, for one row of the grid. Their pixels are `pixel`
// elements apart, by default as many as there are channels; behind the channels are zeros.
class TapRows {
 public:
  TapRows(const Element* x, Shape shape, int64_t step, const std::vector<Tap>& taps, int64_t columns,
          int64_t pixel = 0)
      : x_(x), shape_(shape), step_(step), taps_(taps), pixel_(pixel ? pixel : shape.channels) {
    int64_t last = 0, top = taps.empty() ? 0 : taps[0].row;
    bottom_ = top;
    for (const Tap& tap : taps) {
      top = std::min(top, tap.row);
      bottom_ = std::max(bottom_, tap.row);
      first_ = std::min(first_, tap.column);
      last = std::max(last, (columns - 1) * step + tap.column);
    }
    padded_ = first_ < 0 || last >= shape.width || pixel_ != shape.channels;
    width_ = last - first_ + 1;
    if (!padded_) return;
    // As many as lie under the taps: none of them takes another's place.
    copied_.assign(bottom_ - top + 1, -1);
    rows_.resize(copied_.size() * width_ * pixel_);
  }

  // One pointer for each tap; null where the row lies outside.
  void Find(int64_t image, int64_t grid_row, const Element** pointers) {
    for (size_t t = 0; t < taps_.size(); ++t) {
      const int64_t row = grid_row * step_ + taps_[t].row;
      if (row < 0 || row >= shape_.height) {
        pointers[t] = nullptr;
        continue;
      }
      if (t > 0 && taps_[t].row == taps_[t - 1].row) {
        pointers[t] = pointers[t - 1] + (taps_[t].column - taps_[t - 1].column) * pixel_;
        continue;
      }
      pointers[t] = Row(image * shape_.height + row) + taps_[t].column * pixel_;
    }
  }

  // Has brought to the cache what a row of the grid reads and the one before it does not, of some
  // of its columns: the processor by itself stops at the end of every page.
  HIERSEG_INLINE void PrefetchNew(int64_t image, int64_t grid_row, int64_t column,
                                  int64_t columns) const {
    const int64_t lowest = grid_row * step_ + bottom_, pixel = shape_.channels;
    for (int64_t row = lowest - step_ + 1; row <= lowest; ++row)
      if (row >= 0 && row < shape_.height)
        Prefetch(x_ + ((image * shape_.height + row) * shape_.width + column * step_) * pixel,
                 columns * step_ * pixel);
  }

 private:
  // Its column 0; a row that needs zeros is copied once for all rows of the grid that read it.
  const Element* Row(int64_t number) {
    const Element* row = x_ + number * shape_.width * shape_.channels;
    if (!padded_) return row;
    const int64_t place = number % copied_.size();
    Element* copy = &rows_[place * width_ * pixel_];
    if (copied_[place] == number) return copy - first_ * pixel_;
    copied_[place] = number;
    return Pad(row, copy);
  }

  // A copy with zeros where columns lie outside; points to column 0.
  const Element* Pad(const Element* row, Element* copy) const {
    const int64_t c = shape_.channels;
    const int64_t begin = std::clamp<int64_t>(-first_, 0, width_);
    const int64_t from = std::max<int64_t>(first_, 0);
    const int64_t count = std::max<int64_t>(std::min(shape_.width - from, width_ - begin), 0);
    std::fill(copy, copy + begin * pixel_, Element());
    if (pixel_ == c) {
      std::copy(row + from * c, row + (from + count) * c, copy + begin * c);
    } else {
      for (int64_t p = 0; p < count; ++p) {
        Element* to = copy + (begin + p) * pixel_;
        std::fill(std::copy_n(row + (from + p) * c, c, to), to + pixel_, Element());
      }
    }
    std::fill(copy + (begin + count) * pixel_, copy + width_ * pixel_, Element());
    return copy - first_ * pixel_;
  }

  const Element* x_;
  Shape shape_;
  int64_t step_;
  const std::vector<Tap>& taps_;
  int64_t pixel_;
  int64_t bottom_ = 0, first_ = 0, width_ = 0;
  bool padded_ = false;
  std::vector<int64_t> copied_;
  std::vector<Element> rows_;
};

inline std::vector<Tap> PlainTaps(int64_t kernel_h, int64_t kernel_w, const Geometry& g) {
  std::vector<Tap> taps;
  for (int64_t i = 0; i < kernel_h; ++i)
    for (int64_t j = 0; j < kernel_w; ++j)
      taps.push_back({i * g.dilation_h - g.pad_h, j * g.dilation_w - g.pad_w, i * kernel_w + j});
  return taps;
}

// A transposed convolution: y[u * stride + tap] += x[u] W[tap], as one phase for each place
// of an output pixel between the multiples of the stride.
inline std::vector<Phase> TransposedPhases(int64_t kernel_h, int64_t kernel_w, const Geometry& g,
                                           int64_t height, int64_t width) {
  std::vector<Phase> phases;
  for (int64_t a = 0; a < std::min(g.stride, height); ++a)
    for (int64_t b = 0; b < std::min(g.stride, width); ++b) {
      Phase phase{a, b, CeilDiv(height - a, g.stride), CeilDiv(width - b, g.stride), {}};
      for (int64_t i = 0; i < kernel_h; ++i)
        for (int64_t j = 0; j < kernel_w; ++j) {
          const int64_t row = a + g.pad_h - i * g.dilation_h;
          const int64_t column = b + g.pad_w - j * g.dilation_w;
          if (row % g.stride == 0 && column % g.stride == 0)
            phase.taps.push_back({row / g.stride, column / g.stride, i * kernel_w + j});
        }
      phases.push_back(std::move(phase));
    }
  return phases;
}

// All phases of a convolution: a single one unless it is transposed.
inline std::vector<Phase> Phases(int64_t kernel_h, int64_t kernel_w, const Geometry& g, Shape out,
                                 bool transposed) {
  if (transposed) return TransposedPhases(kernel_h, kernel_w, g, out.height, out.width);
  return {{0, 0, out.height, out.width, PlainTaps(kernel_h, kernel_w, g)}};
}

// Calls f with `size`, 1 .. kTileRows, as a constant.
template <int kSize = kTileRows, typename F>
void WithConstant(int64_t size, F f) {
  if constexpr (kSize == 1) {
    f(std::integral_constant<int, 1>());
  } else {
    if (size >= kSize) return f(std::integral_constant<int, kSize>());
    WithConstant<kSize - 1>(size, f);
  }
}

// Splits `count` into pieces of at most kTileRows, as even as possible: f(first, size).
template <typename F>
void ForPieces(int64_t count, F f) {
  const int64_t pieces = CeilDiv(count, kTileRows);
  for (int64_t i = 0; i < pieces; ++i) {
    const int64_t first = i * count / pieces;
    f(first, (i + 1) * count / pieces - first);
  }
}

// Output channels in tiles of two vectors, the last of one where that is enough: f(first, vectors).
template <typename F>
void ForChannelTiles(int64_t channels, F f) {
  for (int64_t o = 0; o < channels; o += 2 * kLanes) f(o, channels - o > kLanes ? 2 : 1);
}

inline int64_t PaddedChannels(int64_t channels) { return CeilDiv(channels, kLanes) * kLanes; }

// The same by several threads, where the tiles have many numbers together.
template <typename F>
void ForChannelTiles(const Threads& threads, int64_t channels, int64_t numbers, F f) {
  constexpr int64_t kMany = 1 << 14;
  if (numbers < kMany) return ForChannelTiles(channels, f);
  ParallelFor(threads, CeilDiv(channels, 2 * kLanes), [&](int64_t tile) {
    const int64_t first = tile * 2 * kLanes;
    f(first, channels - first > kLanes ? 2 : 1);
  });
}

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_TAPS_H_
