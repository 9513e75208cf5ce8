// Depthwise 2-D convolutions of NHWC arrays, transposed ones, and kernel gradients.
//
// A vector holds neighbouring channels of a pixel; a few pixels, or a few taps of the gradient,
// stay in registers. Memory is what bounds them, so every row is read while it is in a cache.

#include "finish.h"
#include "kernels.h"

namespace hierseg {
namespace {

// Of `count` channels, kLanes or fewer: where the compiler knows that they fill the vector, sums
// stay in registers.
template <int kPixels>
HIERSEG_INLINE void DepthwiseTile(const Element* const* taps, const std::vector<Tap>& list,
                                  int64_t offset, int64_t step, const float* weights,
                                  int64_t channels, int64_t c, int64_t count, const Finish& finish,
                                  Element* y, int64_t y_step) {
  Vector sum[kPixels] = {};
  for (size_t t = 0; t < list.size(); ++t) {
    if (taps[t] == nullptr) continue;
    const Vector weight = LoadUpTo(weights + list[t].index * channels + c, count);
    const Element* x = taps[t] + offset + c;
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) sum[p] += weight * LoadUpTo(x + p * step, count);
  }
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p) sum[p] += Load(finish.bias() + c);
  if (!finish.IsSimple() || finish.IsRelu()) {
    // Others than `sum`, whose address nobody is to have.
    Vector sums[kPixels];
    std::copy_n(sum, kPixels, sums);
    return finish.StoreResults(sums, kPixels, y, y_step, count);
  }
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p) StoreUpTo(y + p * y_step, sum[p], count);
}

// Sums over a row of pixels of dy times x under each of a few taps.
template <int kTaps>
void DepthwiseGradientTile(const Element* const* taps, int64_t step, const Element* dy,
                           int64_t dy_step, int64_t pixels, int64_t channels, int64_t c, float* sums) {
  const int64_t count = channels - c;
  Vector sum[kTaps];
  const Element* x[kTaps];
#pragma GCC unroll 8
  for (int t = 0; t < kTaps; ++t) {
    sum[t] = LoadUpTo(sums + t * channels, count);
    x[t] = taps[t] + c;
  }
  for (int64_t p = 0; p < pixels; ++p) {
    const Vector value = LoadUpTo(dy + p * dy_step + c, count);
#pragma GCC unroll 8
    for (int t = 0; t < kTaps; ++t) sum[t] += value * LoadUpTo(x[t] + p * step, count);
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTaps; ++t) StoreUpTo(sums + t * channels, sum[t], count);
}

}  // namespace

void Depthwise(const Threads& threads, Input x, Input weights, Input bias, Input mean,
               Input variance, Input scale, Input offset, Input shortcut, Output y, int64_t stride,
               int64_t dilation_h, int64_t dilation_w, int64_t pad_h, int64_t pad_w,
               bool transposed, int64_t activation, float epsilon) {
  const Shape in = ShapeOf(x), out = ShapeOf(*y);
  const int64_t* kernel = weights.dimensions();
  const Geometry g{stride, dilation_h, dilation_w, pad_h, pad_w};
  const int64_t input_step = transposed ? 1 : stride, output_step = transposed ? stride : 1;
  const int64_t channels = in.channels;
  const Finish finish(bias, mean, variance, scale, offset, shortcut, y, activation, epsilon);
  std::vector<float> scaled(weights.typed_data(), weights.typed_data() + weights.element_count());
  for (size_t i = 0; i < scaled.size(); ++i) scaled[i] *= finish.Slope(i % channels);
  for (const Phase& phase : Phases(kernel[0], kernel[1], g, out, transposed)) {
    const int64_t rows = in.batch * phase.rows;
    const int64_t chunks = std::min<int64_t>(rows, 64);
    ParallelFor(threads, chunks, [&](int64_t chunk) {
      TapRows tap_rows(x.elements(), in, input_step, phase.taps, phase.columns);
      std::vector<const Element*> taps(phase.taps.size());
      for (int64_t r = chunk * rows / chunks; r < (chunk + 1) * rows / chunks; ++r) {
        const int64_t image = r / phase.rows, grid_row = r % phase.rows;
        tap_rows.Find(image, grid_row, taps.data());
        const int64_t y_row = image * out.height + grid_row * output_step + phase.row;
        Element* to = y->elements() + (y_row * out.width + phase.column) * channels;
        const auto of_channels = [&](auto pixels, int64_t column, int64_t c, int64_t count) {
          DepthwiseTile<pixels()>(taps.data(), phase.taps, column * input_step * channels,
                                  input_step * channels, scaled.data(), channels, c, count, finish,
                                  to + column * output_step * channels + c,
                                  output_step * channels);
        };
        for (int64_t column = 0; channels < kLanes && column < phase.columns; ++column)
          of_channels(std::integral_constant<int, 1>(), column, 0, channels);
        for (int64_t next = 0; channels >= kLanes && next < channels; next += kLanes) {
          // The last vector may lie over the one before it.
          const int64_t c = std::min(next, channels - kLanes);
          ForPieces(phase.columns, [&](int64_t column, int64_t size) {
            WithConstant(size, [&](auto pixels) { of_channels(pixels, column, c, kLanes); });
          });
        }
      }
    });
  }
}

void DepthwiseGradient(const Threads& threads, Input x, Input dy, Output gradient, int64_t stride,
                       int64_t dilation_h, int64_t dilation_w, int64_t pad_h, int64_t pad_w) {
  const Shape in = ShapeOf(x), out = ShapeOf(dy);
  const int64_t* kernel = gradient->dimensions();
  const int64_t channels = in.channels, rows = out.batch * out.height;
  const std::vector<Tap> taps =
      PlainTaps(kernel[0], kernel[1], {stride, dilation_h, dilation_w, pad_h, pad_w});
  const int64_t size = taps.size() * channels;
  // A fixed number of partial sums, whatever the number of threads.
  const int64_t chunks = std::min<int64_t>(rows, 16);
  std::vector<float> sums(chunks * size);
  ParallelFor(threads, chunks, [&](int64_t chunk) {
    TapRows tap_rows(x.elements(), in, stride, taps, out.width);
    std::vector<const Element*> pointers(taps.size());
    float* sum = &sums[chunk * size];
    for (int64_t r = chunk * rows / chunks; r < (chunk + 1) * rows / chunks; ++r) {
      tap_rows.Find(r / out.height, r % out.height, pointers.data());
      const Element* dy_row = dy.elements() + r * out.width * channels;
      // Taps whose row lies outside are the first or the last ones.
      int64_t first = 0, last = taps.size();
      while (first < last && pointers[first] == nullptr) ++first;
      while (last > first && pointers[last - 1] == nullptr) --last;
      for (int64_t c = 0; c < channels; c += kLanes)
        ForPieces(last - first, [&](int64_t piece, int64_t count) {
          WithConstant(count, [&](auto constant) {
            DepthwiseGradientTile<constant()>(&pointers[first + piece], stride * channels, dy_row,
                                              channels, out.width, channels, c,
                                              sum + (first + piece) * channels + c);
          });
        });
    }
  });
  for (int64_t i = 0; i < size; ++i) {
    float total = 0;
    for (int64_t k = 0; k < chunks; ++k) total += sums[k * size + i];
    gradient->typed_data()[i] = total;
  }
}

}  // namespace hierseg
