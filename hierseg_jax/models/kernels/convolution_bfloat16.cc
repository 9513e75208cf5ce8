// Dense 2-D convolutions of bfloat16 NHWC arrays, transposed ones, and kernel gradients.
//
// The sums over taps of convolution.cc, as products of blocks of pixels, or of output channels in
// a kernel's gradient. Weights are rounded to bfloat16; sums, biases and kernel gradients are
// float32. The results do not depend on the number of threads.

#include "block_product.h"
#include "kernels.h"

namespace hierseg {
namespace {

constexpr int64_t kResultSize = 2 * kBlockRows * kResultStep;

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

// Channels in tiles of two vectors, the last of one where that is enough: f(first, vectors).
template <typename F>
void ForChannelTiles(int64_t channels, F f) {
  for (int64_t o = 0; o < channels; o += 2 * kLanes) f(o, channels - o > kLanes ? 2 : 1);
}

// Weights [tap][input][output], or turned, [tap][output][input], in the order in which a phase's
// products read them.
std::vector<Element> PackWeights(const float* weights, const std::vector<Tap>& taps, Depth depth,
                                 int64_t outputs, bool turned) {
  const int64_t inputs = depth.channels, padded = CeilDiv(outputs, kLanes) * kLanes;
  std::vector<Element> packed(taps.size() * depth.count * depth.depth * padded, 0);
  Element* to = packed.data();
  ForChannelTiles(outputs, [&](int64_t first, int vectors) {
    const int64_t count = std::min<int64_t>(outputs - first, vectors * kLanes);
    for (const Tap& tap : taps)
      for (int64_t s = 0; s < depth.count; ++s, to += depth.depth * vectors * kLanes)
        for (int64_t k = s * kBlockDepth - depth.Offset(s); k < depth.depth; ++k) {
          const int64_t c = depth.Offset(s) + k;
          if (c >= inputs) continue;
          Element* pairs = to + k / 2 * 2 * vectors * kLanes + k % 2;
          const float* from = turned ? weights + (tap.index * outputs + first) * inputs + c
                                     : weights + (tap.index * inputs + c) * outputs + first;
          for (int64_t o = 0; o < count; ++o) pairs[2 * o] = Narrow(from[turned ? o * inputs : o]);
        }
  });
  return packed;
}

struct Finish {
  const float* bias;
  bool relu;

  void operator()(const float* result, int64_t rows, int vectors, int64_t first, int64_t channels,
                  Element* y, int64_t y_step) const {
    for (int v = 0; v < vectors; ++v) {
      const Vector added = Load(bias + first + v * kLanes);
      for (int64_t r = 0; r < rows; ++r) {
        Vector sum = Load(result + r * kResultStep + v * kLanes) + added;
        if (relu) sum = sum < 0.0f ? Vector{} : sum;
        StoreUpTo(y + r * y_step + v * kLanes, sum, channels - first - v * kLanes);
      }
    }
  }
};

void RunPhase(const Threads& threads, const Element* x, Shape in, const float* weights,
              const float* bias, Element* y, Shape out, const Phase& phase, int64_t input_step,
              int64_t output_step, bool turned, bool relu) {
  const Depth depth(in.channels);
  const std::vector<Element> packed =
      PackWeights(weights, phase.taps, depth, out.channels, turned);
  std::vector<float> padded_bias(CeilDiv(out.channels, kLanes) * kLanes, 0.0f);
  if (bias != nullptr) std::copy_n(bias, out.channels, padded_bias.data());
  const Finish finish{padded_bias.data(), relu};
  const int64_t pixel = depth.PixelSize(), segments = phase.taps.size() * depth.count;
  // As many blocks of pixels as a row takes, all of the same size; the last one may overlap.
  const int64_t blocks = CeilDiv(phase.columns, kBlockRows);
  const int64_t block_rows = CeilDiv(phase.columns, blocks);
  const int64_t rows = in.batch * phase.rows, chunks = std::min<int64_t>(rows, 64);
  ParallelFor(threads, chunks, [&](int64_t chunk) {
    TapRows tap_rows(x, in, input_step, phase.taps, phase.columns, pixel);
    std::vector<const Element*> taps(phase.taps.size()), left(segments);
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
      BlockProduct product{left.data(), segments,    input_step * pixel,
                           block_rows,  depth.depth, packed.data()};
      const int64_t y_step = output_step * out.channels;
      ForChannelTiles(out.channels, [&](int64_t first, int vectors) {
        for (int64_t block = 0; block < blocks; block += 2) {
          const int64_t column = std::min(block * block_rows, phase.columns - block_rows);
          const int64_t next = std::min(column + block_rows, phase.columns - block_rows);
          const bool two = block + 1 < blocks;
          multiply(product, column * product.step, two ? next * product.step : -1, vectors, result);
          Element* to = y_row + first;
          finish(result, block_rows, vectors, first, out.channels, to + column * y_step, y_step);
          if (two)
            finish(result + block_rows * kResultStep, block_rows, vectors, first, out.channels,
                   to + next * y_step, y_step);
        }
        product.right += segments * depth.depth * vectors * kLanes;
      });
    }
  });
}

Halves LoadHalvesUpTo(const Element* from, int64_t count) {
  if (count >= kLanes) return *reinterpret_cast<const Halves*>(from);
#ifdef __AVX512BF16__
  return (Halves)_mm256_maskz_loadu_epi16((1u << count) - 1, from);
#else
  Halves halves = {};
  std::memcpy(&halves, from, count * sizeof(Element));
  return halves;
#endif
}

// Calls f(pair, first channel, its channels' pairs) for neighbouring pixels, two by two; behind an
// odd number of them are zeros, and a row of null has nothing else.
template <typename F>
void ForPairs(const Element* row, int64_t step, int64_t pixels, int64_t channels, F f) {
  for (int64_t p = 0; p < pixels; p += 2)
    for (int64_t c = 0; c < channels; c += kLanes) {
      const Element* at = row + p * step + c;
      const Halves none = {};
      const Halves even = row == nullptr ? none : LoadHalvesUpTo(at, channels - c);
      const bool both = row != nullptr && p + 1 < pixels;
      f(p / 2, c, Interleave(even, both ? LoadHalvesUpTo(at + step, channels - c) : none));
    }
}

// A square of pairs, its rows made columns.
void Transpose(Words (&rows)[kLanes]) {
  Words low, high;
  for (int l = 0; l < kLanes; ++l) {
    low[l] = l / 2 + l % 2 * kLanes;
    high[l] = low[l] + kLanes / 2;
  }
  for (int n = 1; n < kLanes; n *= 2) {
    Words mixed[kLanes];
    for (int i = 0; i < kLanes / 2; ++i) {
      mixed[2 * i] = __builtin_shuffle(rows[i], rows[i + kLanes / 2], low);
      mixed[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + kLanes / 2], high);
    }
    for (int i = 0; i < kLanes; ++i) rows[i] = mixed[i];
  }
}

// Some rows of pixels, laid out for products that sum over them.
class PackedPixels {
 public:
  PackedPixels(int64_t most_rows, int64_t width, int64_t channels, int64_t outputs, int64_t taps)
      : width_(width),
        row_pairs_(CeilDiv(width, 2)),
        channels_(CeilDiv(channels, kLanes) * kLanes),
        outputs_(CeilDiv(outputs, kBlockRows) * kBlockRows) {
    // Few enough to stay in a cache.
    const int64_t pixels = std::clamp<int64_t>((1 << 18) / (taps * channels_ + outputs_), 64, 512);
    rows = std::clamp<int64_t>(pixels / width, 1, most_rows);
    pairs = CeilDiv(rows * row_pairs_, kPairs) * kPairs;
    x_.resize(taps * pairs * channels_);
    dy_.resize(outputs_ * pairs);
    square_.resize(kLanes * CeilDiv(outputs, kLanes));
  }

  int64_t rows, pairs;

  void Clear() {
    std::fill(x_.begin(), x_.end(), 0);
    std::fill(dy_.begin(), dy_.end(), 0);
  }

  // x as [tap][tile of channels][pair][channel]: the right matrices.
  void AddX(int64_t tap, int64_t row, const Element* from, int64_t step, int64_t channels) {
    ForPairs(from, step, width_, channels, [&](int64_t pair, int64_t c, Words words) {
      const int64_t tile = c / kResultStep * kResultStep;
      const int64_t width = std::min(kResultStep, channels_ - tile);
      uint32_t* to = X(tap, tile) + (row * row_pairs_ + pair) * width + c - tile;
      *reinterpret_cast<Words*>(to) = words;
    });
  }

  // dy as [output][pair]: the left matrices.
  void AddDy(int64_t row, const Element* from, int64_t outputs) {
    const int64_t first = row * row_pairs_;
    ForPairs(from, outputs, width_, outputs, [&](int64_t pair, int64_t o, Words words) {
      square_[o + pair % kLanes] = words;
      if (pair % kLanes < kLanes - 1 && pair < row_pairs_ - 1) return;
      Words square[kLanes];
      std::copy_n(&square_[o], kLanes, square);
      Transpose(square);
      const int64_t begin = pair / kLanes * kLanes;
      const int64_t bytes = (pair - begin + 1) * sizeof(uint32_t);
      for (int64_t i = 0; i < std::min<int64_t>(kLanes, outputs - o); ++i)
        std::memcpy(&dy_[(o + i) * pairs + first + begin], &square[i], bytes);
    });
  }

  uint32_t* X(int64_t tap, int64_t tile) { return &x_[(tap * channels_ + tile) * pairs]; }
  const Element* Dy(int64_t output) const {
    return reinterpret_cast<const Element*>(&dy_[output * pairs]);
  }

 private:
  static constexpr int64_t kPairs = kBlockDepth / 2;
  int64_t width_, row_pairs_, channels_, outputs_;
  std::vector<uint32_t> x_, dy_;
  std::vector<Words> square_;
};

}  // namespace

void Convolve(const Threads& threads, Input x, Input weights, Input bias, Output y, int64_t stride,
              int64_t dilation_h, int64_t dilation_w, int64_t pad_h, int64_t pad_w, bool transposed,
              bool turned, bool relu) {
  const Geometry g{stride, dilation_h, dilation_w, pad_h, pad_w};
  Shape in = ShapeOf(x), out = ShapeOf(*y);
  const Shape kernel = ShapeOf(weights);
  if (kernel.batch * kernel.height == 1 && in.height == out.height && in.width == out.width) {
    // Pixels are alike: long rows make large blocks.
    int64_t rows = in.batch * in.height, width = in.width;
    for (; rows % 2 == 0 && width <= 256; width *= 2) rows /= 2;
    in = {1, rows, width, in.channels};
    out = {1, rows, width, out.channels};
  }
  for (const Phase& phase : Phases(kernel.batch, kernel.height, g, out, transposed))
    RunPhase(threads, x.elements(), in, weights.typed_data(), bias.data_if_any(), y->elements(),
             out, phase, transposed ? 1 : stride, transposed ? stride : 1, turned, relu);
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
  const int64_t inputs = CeilDiv(in.channels, kLanes) * kLanes;
  const int64_t outputs = CeilDiv(out.channels, kBlockRows) * kBlockRows;
  // A fixed number of partial sums [tap][output][input], whatever the number of threads, and then
  // their sum. Those of the bias follow.
  const int64_t chunks = std::min<int64_t>(rows, 16);
  const int64_t bias_at = tap_count * outputs * inputs, size = bias_at + outputs;
  std::vector<float> sums(chunks * size);
  ParallelFor(threads, chunks, [&](int64_t chunk) {
    float* sum = &sums[chunk * size];
    TapRows tap_rows(x.elements(), in, stride, taps, out.width);
    std::vector<const Element*> pointers(tap_count);
    PackedPixels packed(CeilDiv(rows, chunks), out.width, in.channels, out.channels, tap_count);
    const int64_t segments = packed.pairs * 2 / kBlockDepth;
    std::vector<const Element*> left(segments);
    const Multiplier multiply(kBlockRows, kBlockDepth);
    alignas(64) float result[kResultSize];
    const int64_t end = (chunk + 1) * rows / chunks;
    for (int64_t begin = chunk * rows / chunks; begin < end; begin += packed.rows) {
      const int64_t count = std::min(packed.rows, end - begin);
      if (count < packed.rows) packed.Clear();
      for (int64_t row = 0; row < count; ++row) {
        const int64_t r = begin + row;
        const Element* dy_row = dy.elements() + r * out.width * out.channels;
        packed.AddDy(row, dy_row, out.channels);
        for (int64_t o = 0; o < out.channels; o += kLanes) {
          const int64_t lanes = out.channels - o;
          Vector total = Load(sum + bias_at + o);
          for (int64_t p = 0; p < out.width; ++p)
            total += LoadUpTo(dy_row + p * out.channels + o, lanes);
          Store(sum + bias_at + o, total);
        }
        tap_rows.Find(r / out.height, r % out.height, pointers.data());
        for (int64_t t = 0; t < tap_count; ++t)
          packed.AddX(t, row, pointers[t], stride * in.channels, in.channels);
      }
      for (int64_t t = 0; t < tap_count; ++t)
        ForChannelTiles(in.channels, [&](int64_t first, int vectors) {
          const auto* right = reinterpret_cast<const Element*>(packed.X(t, first));
          for (int64_t o = 0; o < outputs; o += 2 * kBlockRows) {
            for (int64_t s = 0; s < segments; ++s) left[s] = packed.Dy(o) + s * kBlockDepth;
            const BlockProduct product{left.data(), segments,    2 * packed.pairs,
                                       kBlockRows,  kBlockDepth, right};
            const bool two = o + kBlockRows < outputs;
            multiply(product, 0, two ? kBlockRows * product.step : -1, vectors, result);
            float* to = sum + (t * outputs + o) * inputs + first;
            for (int64_t r = 0; r < (two ? 2 : 1) * kBlockRows; ++r)
              for (int v = 0; v < vectors; ++v) {
                float* at = to + r * inputs + v * kLanes;
                Store(at, Load(at) + Load(result + r * kResultStep + v * kLanes));
              }
          }
        });
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
