// Dense 2-D convolutions of bfloat16 NHWC arrays, transposed ones, and kernel gradients.
//
// The sums over taps of convolution.cc, as products of blocks of pixels, or of output channels in
// a kernel's gradient. Weights are rounded to bfloat16; sums, biases and kernel gradients are
// float32. The results do not depend on the number of threads.

#include "block_product.h"
#include "finish.h"
#include "kernels.h"
#include "pixel_pairs.h"

namespace hierseg {
namespace {

constexpr int64_t kResultSize = 2 * kBlockRows * kResultStep;
constexpr int64_t kGroupPixels = 512;

// The channels of a pixel in segments of one depth. The last one begins sooner where it would
// reach over the pixel's end; what it shares with the one before has no weight.
struct Depth {
  int64_t channels, depth, count;

  explicit Depth(int64_t channels)
      : channels(channels),
        depth(std::min<int64_t>(CeilDiv(channels, 2) * 2, kBlockDepth)),
        count(CeilDiv(channels, kBlockDepth)) {}
  int64_t Offset(int64_t segment) const {
    return count == 1 ? 0 : std::min(segment * kBlockDepth, channels - kBlockDepth);
  }
  // Elements of a pixel, of which the segments read as many at least.
  int64_t PixelSize() const { return count == 1 ? depth : channels; }
};

// Weights [tap][input][output], or turned, [tap][output][input], in the order in which a phase's
// products read them.
AlignedVector<Element> PackWeights(const Threads& threads, const float* weights,
                                   const std::vector<Tap>& taps, Depth depth, int64_t outputs,
                                   bool turned, const Finish& finish) {
  const int64_t inputs = depth.channels, of_output = taps.size() * depth.count * depth.depth;
  AlignedVector<Element> packed(of_output * PaddedChannels(outputs), 0);
  ForChannelTiles(threads, outputs, packed.size(), [&](int64_t first, int vectors) {
    Element* to = packed.data() + of_output * first;
    const int64_t count = std::min<int64_t>(outputs - first, vectors * kLanes);
    for (const Tap& tap : taps)
      for (int64_t s = 0; s < depth.count; ++s, to += depth.depth * vectors * kLanes)
        for (int64_t k = s * kBlockDepth - depth.Offset(s); k < depth.depth; ++k) {
          const int64_t c = depth.Offset(s) + k;
          if (c >= inputs) continue;
          Element* pairs = to + k / 2 * 2 * vectors * kLanes + k % 2;
          const float* from = turned ? weights + (tap.index * outputs + first) * inputs + c
                                     : weights + (tap.index * inputs + c) * outputs + first;
          for (int64_t o = 0; o < count; ++o)
            pairs[2 * o] = Narrow(finish.Slope(first + o) * from[turned ? o * inputs : o]);
        }
  });
  return packed;
}

void StoreResults(const Finish& finish, const float* sums, int64_t rows, int vectors, int64_t first,
                  int64_t channels, Element* y, int64_t y_step) {
  for (int64_t r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v) {
      const Vector sum = Load(sums + r * kResultStep + v * kLanes) +
                         Load(finish.bias() + first + v * kLanes);
      Element* at = y + r * y_step + v * kLanes;
      const int64_t count = channels - first - v * kLanes;
      StoreUpTo(at, finish.Result(sum, at, count), count);
    }
}

void RunPhase(const Threads& threads, const Element* x, Shape in, const float* weights, Element* y,
              Shape out, const Phase& phase, int64_t input_step, int64_t output_step, bool turned,
              const Finish& finish) {
  const Depth depth(in.channels);
  const AlignedVector<Element> packed =
      PackWeights(threads, weights, phase.taps, depth, out.channels, turned, finish);
  const int64_t pixel = depth.PixelSize(), segments = phase.taps.size() * depth.count;
  // As many blocks of pixels as a row takes, all of the same size; the last one may overlap.
  const int64_t blocks = CeilDiv(phase.columns, kBlockRows);
  const int64_t block_rows = CeilDiv(phase.columns, blocks);
  const int64_t rows = in.batch * phase.rows, chunks = std::min<int64_t>(rows, 64);
  ParallelFor(threads, chunks, [&](int64_t chunk) {
    TapRows tap_rows(x, in, input_step, phase.taps, phase.columns, pixel);
    std::vector<const Element*> taps(phase.taps.size()), left(segments), right(segments);
    const Multiplier multiply(block_rows, depth.depth);
    alignas(64) float result[kResultSize];
    for (int64_t r = chunk * rows / chunks; r < (chunk + 1) * rows / chunks; ++r) {
      const int64_t image = r / phase.rows, grid_row = r % phase.rows;
      tap_rows.Find(image, grid_row, taps.data());
      for (size_t t = 0; t < taps.size(); ++t)
        for (int64_t s = 0; s < depth.count; ++s)
          left[t * depth.count + s] = taps[t] == nullptr ? nullptr : taps[t] + depth.Offset(s);
      Element* y_row = y + ((image * out.height + grid_row * output_step + phase.row) * out.width +
                            phase.column) *
                               out.channels;
      const BlockProduct product{left.data(), segments,    input_step * pixel,
                                 block_rows,  depth.depth, right.data()};
      const int64_t y_step = output_step * out.channels;
      const Element* weight = packed.data();
      ForChannelTiles(out.channels, [&](int64_t first, int vectors) {
        for (int64_t s = 0; s < segments; ++s, weight += depth.depth * vectors * kLanes)
          right[s] = weight;
        for (int64_t block = 0; block < blocks; block += 2) {
          const int64_t column = std::min(block * block_rows, phase.columns - block_rows);
          const int64_t next = std::min(column + block_rows, phase.columns - block_rows);
          const bool two = block + 1 < blocks;
          multiply(product, column * product.step, two ? next * product.step : -1, vectors, result);
          Element* to = y_row + first;
          StoreResults(finish, result, block_rows, vectors, first, out.channels,
                       to + column * y_step, y_step);
          if (two)
            StoreResults(finish, result + block_rows * kResultStep, block_rows, vectors, first,
                         out.channels, to + next * y_step, y_step);
        }
      });
    }
  });
}

}  // namespace

void Convolve(const Threads& threads, Input x, Input weights, Input bias, Input mean, Input variance,
              Input scale, Input offset, Input shortcut, Output y, int64_t stride,
              int64_t dilation_h, int64_t dilation_w, int64_t pad_h, int64_t pad_w, bool transposed,
              bool turned, int64_t activation, float epsilon) {
  const Geometry g{stride, dilation_h, dilation_w, pad_h, pad_w};
  const Finish finish(bias, mean, variance, scale, offset, shortcut, y, activation, epsilon);
  Shape in = ShapeOf(x), out = ShapeOf(*y);
  const Shape kernel = ShapeOf(weights);
  if (kernel.batch * kernel.height * stride == 1 && in.height == out.height &&
      in.width == out.width) {
    // Pixels are alike: long rows make large blocks.
    int64_t rows = in.batch * in.height, width = in.width;
    for (; rows % 2 == 0 && width <= 256; width *= 2) rows /= 2;
    in = {1, rows, width, in.channels};
    out = {1, rows, width, out.channels};
  }
  for (const Phase& phase : Phases(kernel.batch, kernel.height, g, out, transposed))
    RunPhase(threads, x.elements(), in, weights.typed_data(), y->elements(), out, phase,
             transposed ? 1 : stride, transposed ? stride : 1, turned, finish);
}

// dy where y, which ReLU gave, is above 0, else 0.
void RectifyGradient(const Threads& threads, Input y, Input dy, Output result) {
  const int64_t size = y.element_count(), pieces = std::min<int64_t>(CeilDiv(size, 1 << 14), 64);
  ParallelFor(threads, pieces, [&](int64_t piece) {
    const Element *of_y = y.elements(), *of_dy = dy.elements();
    Element* to = result->elements();
    // Positive numbers up to infinity are 1 to 0x7f80.
    for (int64_t i = piece * size / pieces; i < (piece + 1) * size / pieces; ++i)
      to[i] = static_cast<Element>(of_y[i] - 1) < 0x7f80 ? of_dy[i] : 0;
  });
}

// dW[tap] = sum over pixels of x[p * stride + tap]^T dy[p]; dbias = sum of dy.
void KernelGradient(const Threads& threads, Input x, Input dy, Output gradient, Output dbias,
                    int64_t stride, int64_t dilation_h, int64_t dilation_w, int64_t pad_h,
                    int64_t pad_w) {
  const Geometry g{stride, dilation_h, dilation_w, pad_h, pad_w};
  const Shape in = ShapeOf(x), out = ShapeOf(dy), kernel = ShapeOf(*gradient);
  const std::vector<Tap> taps = PlainTaps(kernel.batch, kernel.height, g);
  const int64_t tap_count = taps.size(), rows = out.batch * out.height;
  const int64_t inputs = PaddedChannels(in.channels);
  const int64_t outputs = CeilDiv(out.channels, kBlockRows) * kBlockRows;
  // A fixed number of partial sums [tap][output][input], whatever the number of threads, and then
  // their sum. Those of the bias follow.
  const int64_t chunks = std::min<int64_t>(rows, 16);
  const int64_t bias_at = tap_count * outputs * inputs, size = bias_at + outputs;
  // Of a row, and rows at once: few enough for a cache, enough to be worth the sums' loads.
  const int64_t row_segments = CeilDiv(out.width, kBlockDepth);
  const int64_t group = std::clamp<int64_t>(kGroupPixels / out.width, 1, CeilDiv(rows, chunks));
  std::vector<float> sums(chunks * size);
  ParallelFor(threads, chunks, [&](int64_t chunk) {
    float* sum = &sums[chunk * size];
    PackedRows packed(x.elements(), in, stride, taps, row_segments, group);
    const int64_t dy_size = row_segments * outputs * PackedRows::kPairs;
    AlignedVector<uint32_t> dy_packed(group * dy_size);
    std::vector<const uint32_t*> x_rows(group * tap_count);
    std::vector<const Element*> left(group * row_segments), right(group * row_segments);
    const Multiplier multiply(kBlockRows, kBlockDepth);
    alignas(64) float result[kResultSize];
    const int64_t end = (chunk + 1) * rows / chunks;
    for (int64_t begin = chunk * rows / chunks; begin < end;) {
      // Of one image.
      const int64_t image = begin / out.height;
      const int64_t count = std::min({group, end - begin, (image + 1) * out.height - begin});
      for (int64_t row = 0; row < count; ++row) {
        const Element* dy_row = dy.elements() + (begin + row) * out.width * out.channels;
        PackTransposed(dy_row, out.width, out.channels, row_segments, outputs,
                       &dy_packed[row * dy_size]);
        for (int64_t o = 0; o < out.channels; o += kLanes) {
          Vector total = Load(sum + bias_at + o);
          for (int64_t p = 0; p < out.width; ++p)
            total += LoadUpTo(dy_row + p * out.channels + o, out.channels - o);
          Store(sum + bias_at + o, total);
        }
        for (int64_t t = 0; t < tap_count; ++t)
          x_rows[row * tap_count + t] =
              packed.Find(image, (begin + row) % out.height * stride + taps[t].row);
      }
      for (int64_t t = 0; t < tap_count; ++t)
        ForChannelTiles(in.channels, [&](int64_t first, int vectors) {
          const int64_t width = vectors * kLanes;
          int64_t segments = 0;
          for (int64_t o = 0; o < outputs; o += 2 * kBlockRows) {
            segments = 0;
            for (int64_t row = 0; row < count; ++row) {
              const uint32_t* x_row = x_rows[row * tap_count + t];
              if (x_row == nullptr) continue;
              for (int64_t s = 0; s < row_segments; ++s, ++segments) {
                const int64_t at = row * dy_size + (s * outputs + o) * PackedRows::kPairs;
                left[segments] = reinterpret_cast<const Element*>(&dy_packed[at]);
                right[segments] =
                    packed.Right(x_row, t, first, width) + s * kBlockDepth * width;
              }
            }
            const BlockProduct product{left.data(), segments,    kBlockDepth,
                                       kBlockRows,  kBlockDepth, right.data()};
            const bool two = o + kBlockRows < outputs;
            multiply(product, 0, two ? kBlockRows * kBlockDepth : -1, vectors, result);
            float* to = sum + (t * outputs + o) * inputs + first;
            for (int64_t r = 0; r < (two ? 2 : 1) * kBlockRows; ++r)
              for (int v = 0; v < vectors; ++v) {
                float* at = to + r * inputs + v * kLanes;
                Store(at, Load(at) + Load(result + r * kResultStep + v * kLanes));
              }
          }
        });
      begin += count;
    }
  });
  ParallelFor(threads, tap_count, [&](int64_t t) {
    for (int64_t o = 0; o < out.channels; ++o)
      for (int64_t c = 0; c < in.channels; c += kLanes) {
        Vector total = {};
        for (int64_t k = 0; k < chunks; ++k)
          total += Load(&sums[k * size + (t * outputs + o) * inputs + c]);
        float* to = gradient->typed_data() + (t * in.channels + c) * out.channels + o;
        for (int64_t l = 0; l < std::min<int64_t>(kLanes, in.channels - c); ++l)
          to[l * out.channels] = total[l];
      }
  });
  for (int64_t o = 0; o < out.channels; ++o) {
    float total = 0;
    for (int64_t k = 0; k < chunks; ++k) total += sums[k * size + bias_at + o];
    dbias->typed_data()[o] = total;
  }
}

}  // namespace hierseg
