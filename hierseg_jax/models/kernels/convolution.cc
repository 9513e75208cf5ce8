// Dense 2-D convolutions of float32 NHWC arrays, transposed ones, and kernel gradients.
//
// A convolution is a sum over the taps of its kernel: y[p] += x[p * stride + tap] W[tap]. A
// tile of a few pixels times two vectors of output channels stays in registers while the taps
// and the input channels pass by. Rows are read where they lie; only rows that need zeros at
// their ends are copied first. The results do not depend on the number of threads.
//
// Where channels are many, kernels of 3 or 5 rows or columns need fewer products: `winograd.h`.

#include "convolution_tile.h"
#include "kernels.h"
#include "winograd.h"

namespace hierseg {
namespace {

void RunPhase(const Threads& threads, const float* x, Shape in, const float* weights, float* y,
              Shape out, const Phase& phase, int64_t input_step, int64_t output_step, bool turned,
              const Finish& finish) {
  const Weights unpacked{weights, phase.taps, in.channels, out.channels, turned, finish};
  const Scratch packed(unpacked.PaddedSize());
  ForChannelTiles(threads, out.channels, unpacked.PaddedSize(), [&](int64_t first, int vectors) {
    unpacked.Pack(first, vectors, packed.data() + phase.taps.size() * in.channels * first);
  });
  const int64_t rows = in.batch * phase.rows;
  const int64_t chunks = std::min<int64_t>(rows, 64);
  ParallelFor(threads, chunks, [&](int64_t chunk) {
    TapRows tap_rows(x, in, input_step, phase.taps, phase.columns);
    std::vector<const float*> taps(phase.taps.size());
    for (int64_t r = chunk * rows / chunks; r < (chunk + 1) * rows / chunks; ++r) {
      const int64_t image = r / phase.rows, grid_row = r % phase.rows;
      tap_rows.Find(image, grid_row, taps.data());
      float* y_row = y + ((image * out.height + grid_row * output_step + phase.row) * out.width +
                          phase.column) *
                             out.channels;
      const float* tile_weights = packed.data();
      ForChannelTiles(out.channels, [&](int64_t first, int vectors) {
        ForPieces(phase.columns, [&](int64_t column, int64_t size) {
          if (first == 0) tap_rows.PrefetchNew(image, grid_row + 1, column, size);
          const TileArguments a{taps.data(),
                                static_cast<int64_t>(taps.size()),
                                column * input_step * in.channels,
                                input_step * in.channels,
                                in.channels,
                                tile_weights,
                                finish.bias() + first,
                                y_row + column * output_step * out.channels + first,
                                output_step * out.channels,
                                out.channels - first,
                                finish.IsRelu()};
          WithConstant(size, [&](auto pixels) {
            if (vectors == 2)
              ConvolveTile<pixels(), 2>(a);
            else
              ConvolveTile<pixels(), 1>(a);
          });
          if (!finish.IsSimple()) finish.InPlace(a.y, a.y_step, size, a.channels);
        });
        tile_weights += taps.size() * in.channels * vectors * kLanes;
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
  const Shape in = ShapeOf(x), out = ShapeOf(*y), kernel = ShapeOf(weights);
  const Finish finish(bias, mean, variance, scale, offset, shortcut, y, activation, epsilon);
  const std::vector<Phase> phases = Phases(kernel.batch, kernel.height, g, out, transposed);
  if (phases.empty()) return;
  const Lines lines(phases[0].taps, stride, in, out);
  if (const Winograd* winograd = lines.Faster(Lines::kGroupsOfWeights))
    return ConvolveLines(threads, x.typed_data(), weights.typed_data(), y->typed_data(), lines,
                         *winograd, turned, finish);
  for (const Phase& phase : phases)
    RunPhase(threads, x.typed_data(), in, weights.typed_data(), y->typed_data(), out, phase,
             transposed ? 1 : stride, transposed ? stride : 1, turned, finish);
}

// dy where y, which ReLU gave, is above 0, else 0.
void RectifyGradient(const Threads& threads, Input y, Input dy, Output result) {
  const int64_t size = y.element_count(), pieces = std::min<int64_t>(CeilDiv(size, 1 << 14), 64);
  ParallelFor(threads, pieces, [&](int64_t piece) {
    const float *of_y = y.typed_data(), *of_dy = dy.typed_data();
    const int64_t end = (piece + 1) * size / pieces;
    for (int64_t i = piece * size / pieces; i < end; i += kLanes) {
      const int64_t lanes = std::min<int64_t>(end - i, kLanes);
      const Vector gradient = LoadUpTo(of_dy + i, lanes);
      StoreUpTo(result->typed_data() + i,
                LoadUpTo(of_y + i, lanes) > 0.0f ? gradient : Vector{}, lanes);
    }
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
  const int64_t padded = PaddedChannels(out.channels);
  // A fixed number of partial sums, whatever the number of threads, and then their sum. The
  // last row of each is that of the bias.
  const int64_t chunks = std::min<int64_t>(rows, 16);
  const int64_t size = (tap_count * in.channels + 1) * padded;
  AlignedVector<float> sums(chunks * size);
  const Lines lines(taps, stride, in, out);
  const Winograd* winograd = lines.Faster(Lines::kGroupsOfGradients);
  ParallelFor(threads, chunks, [&](int64_t chunk) {
    float* sum = &sums[chunk * size];
    if (winograd != nullptr)
      return GradientOfLines(x.typed_data(), dy.typed_data(), lines, *winograd, chunk, chunks,
                             sum);
    float* bias_sum = sum + tap_count * in.channels * padded;
    TapRows tap_rows(x.typed_data(), in, stride, taps, out.width);
    std::vector<const float*> pointers(tap_count);
    AlignedVector<float> copy(padded == out.channels ? 0 : out.width * padded);
    for (int64_t r = chunk * rows / chunks; r < (chunk + 1) * rows / chunks; ++r) {
      tap_rows.Find(r / out.height, r % out.height, pointers.data());
      const float* dy_row = dy.typed_data() + r * out.width * out.channels;
      if (!copy.empty()) {
        for (int64_t p = 0; p < out.width; ++p)
          std::copy_n(dy_row + p * out.channels, out.channels, &copy[p * padded]);
        dy_row = copy.data();
      }
      for (int64_t o = 0; o < padded; o += kLanes) {
        Vector total = Load(bias_sum + o);
        for (int64_t p = 0; p < out.width; ++p) total += Load(dy_row + p * padded + o);
        Store(bias_sum + o, total);
      }
      ForChannelTiles(out.channels, [&](int64_t first, int vectors) {
        for (int64_t t = 0; t < tap_count; ++t) {
          if (first == 0) {
            const int64_t begin = t * out.width / tap_count;
            const int64_t count = (t + 1) * out.width / tap_count - begin;
            tap_rows.PrefetchNew(r / out.height, r % out.height + 1, begin, count);
            Prefetch(dy.typed_data() + ((r + 1) * out.width + begin) * out.channels,
                     count * out.channels);
          }
          if (pointers[t] == nullptr) continue;
          ForPieces(in.channels, [&](int64_t c, int64_t count) {
            float* to = sum + (t * in.channels + c) * padded + first;
            GradientChannels(count, vectors, pointers[t] + c, stride * in.channels,
                             dy_row + first, padded, out.width, to, padded);
          });
        }
      });
    }
  });
  const int64_t sum_rows = tap_count * in.channels + 1;
  const int64_t blocks = std::min<int64_t>(sum_rows, 16);
  ParallelFor(threads, blocks, [&](int64_t block) {
    for (int64_t r = block * sum_rows / blocks; r < (block + 1) * sum_rows / blocks; ++r) {
      float* to =
          r < sum_rows - 1 ? gradient->typed_data() + r * out.channels : dbias->typed_data();
      for (int64_t o = 0; o < out.channels; o += kLanes) {
        Vector total = {};
        for (int64_t k = 0; k < chunks; ++k) total += Load(&sums[k * size + r * padded + o]);
        StoreUpTo(to + o, total, out.channels - o);
      }
    }
  });
}

}  // namespace hierseg
