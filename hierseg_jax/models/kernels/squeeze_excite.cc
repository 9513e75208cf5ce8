// Squeeze-excite (Hu et al., CVPR 2018): channels of [B, h, w, C] times a gate computed from their
// means, y = x sigmoid(b2 + w2 silu(b1 + w1 mean(x))), with w1 [C, S] and w2 [S, C]. Two passes
// over memory, and two for the gradient.

#include "kernels.h"
#include "pixels.h"

namespace hierseg {
namespace {

float Sigmoid(float v) { return 1.0f / (1.0f + __builtin_expf(-v)); }

// For every image and channel the sum of f(first element, lanes) over the pixels.
template <typename F>
std::vector<double> SumOverPixels(const Threads& threads, const Pixels& pixels, F f) {
  const int64_t c_count = pixels.channels;
  std::vector<double> parts(pixels.total() * c_count, 0.0);
  ParallelFor(threads, pixels.total(), [&](int64_t piece) {
    pixels.ForBlocks(piece, [&](int64_t, int64_t first, int64_t count) {
      for (int64_t c = 0; c < c_count; c += kLanes) {
        const int64_t lanes = std::min<int64_t>(c_count - c, kLanes);
        Vector sum = {};
        for (int64_t i = first * c_count + c; i < (first + count) * c_count; i += c_count)
          sum += f(i, lanes);
        for (int64_t l = 0; l < lanes; ++l) parts[piece * c_count + c + l] += sum[l];
      }
    });
  });
  std::vector<double> sums(pixels.images * c_count, 0.0);
  for (int64_t piece = 0; piece < pixels.total(); ++piece)
    for (int64_t c = 0; c < c_count; ++c)
      sums[piece / pixels.pieces * c_count + c] += parts[piece * c_count + c];
  return sums;
}

// result = x * slope + offset, with numbers of every image and channel; offsets may be null.
void Scale(const Threads& threads, const Pixels& pixels, const Element* x, const float* slopes,
           const float* offsets, Element* result) {
  const int64_t c_count = pixels.channels;
  ParallelFor(threads, pixels.total(), [&](int64_t piece) {
    pixels.ForBlocks(piece, [&](int64_t image, int64_t first, int64_t count) {
      for (int64_t c = 0; c < c_count; c += kLanes) {
        const int64_t lanes = std::min<int64_t>(c_count - c, kLanes), at = image * c_count + c;
        const Vector slope = LoadUpTo(slopes + at, lanes),
                     offset = offsets ? LoadUpTo(offsets + at, lanes) : Vector{};
        for (int64_t i = first * c_count + c; i < (first + count) * c_count; i += c_count)
          StoreUpTo(result + i, LoadUpTo(x + i, lanes) * slope + offset, lanes);
      }
    });
  });
}

}  // namespace

void SqueezeExcite(const Threads& threads, Input x, Input w1, Input b1, Input w2, Input b2,
                   Output y, Output mean, Output hidden, Output gate) {
  const Pixels pixels(x);
  const int64_t c_count = pixels.channels, s_count = b1.element_count();
  const Element* from = x.elements();
  const std::vector<double> sums = SumOverPixels(
      threads, pixels, [&](int64_t i, int64_t lanes) { return LoadUpTo(from + i, lanes); });
  ParallelFor(threads, pixels.images, [&](int64_t image) {
    float* means = mean->typed_data() + image * c_count;
    float* before = hidden->typed_data() + image * s_count;
    float* gates = gate->typed_data() + image * c_count;
    std::copy_n(b1.typed_data(), s_count, before);
    for (int64_t c = 0; c < c_count; ++c) {
      means[c] = sums[image * c_count + c] / pixels.per_image;
      for (int64_t s = 0; s < s_count; ++s) before[s] += means[c] * w1.typed_data()[c * s_count + s];
    }
    std::copy_n(b2.typed_data(), c_count, gates);
    for (int64_t s = 0; s < s_count; ++s) {
      const float value = before[s] * Sigmoid(before[s]);
      for (int64_t c = 0; c < c_count; ++c) gates[c] += value * w2.typed_data()[s * c_count + c];
    }
    for (int64_t c = 0; c < c_count; ++c) gates[c] = Sigmoid(gates[c]);
  });
  Scale(threads, pixels, from, gate->typed_data(), nullptr, y->elements());
}

void SqueezeExciteGradient(const Threads& threads, Input x, Input dy, Input w1, Input w2,
                           Input mean, Input hidden, Input gate, Output dx, Output dw1, Output db1,
                           Output dw2, Output db2) {
  const Pixels pixels(x);
  const int64_t c_count = pixels.channels, s_count = db1->element_count();
  const Element *of_x = x.elements(), *of_dy = dy.elements();
  const std::vector<double> d_gates =
      SumOverPixels(threads, pixels, [&](int64_t i, int64_t lanes) {
        return LoadUpTo(of_x + i, lanes) * LoadUpTo(of_dy + i, lanes);
      });
  for (Output sum : {dw1, db1, dw2, db2})
    std::fill_n(sum->typed_data(), sum->element_count(), 0.0f);
  std::vector<float> d_before(c_count), offsets(pixels.images * c_count);
  for (int64_t image = 0; image < pixels.images; ++image) {
    const float* gates = gate.typed_data() + image * c_count;
    const float* means = mean.typed_data() + image * c_count;
    for (int64_t c = 0; c < c_count; ++c) {
      d_before[c] = d_gates[image * c_count + c] * gates[c] * (1.0f - gates[c]);
      db2->typed_data()[c] += d_before[c];
    }
    std::vector<float> d_hidden(s_count, 0.0f);
    for (int64_t s = 0; s < s_count; ++s) {
      const float before = hidden.typed_data()[image * s_count + s], sigmoid = Sigmoid(before);
      const float* weights = w2.typed_data() + s * c_count;
      float* gradient = dw2->typed_data() + s * c_count;
      Vector sum = {};
      for (int64_t c = 0; c < c_count; c += kLanes) {
        const int64_t lanes = std::min<int64_t>(c_count - c, kLanes);
        const Vector d = LoadUpTo(&d_before[c], lanes);
        sum += d * LoadUpTo(weights + c, lanes);
        StoreUpTo(gradient + c, LoadUpTo(gradient + c, lanes) + d * (before * sigmoid), lanes);
      }
      float total = 0;
      for (int l = 0; l < kLanes; ++l) total += sum[l];
      d_hidden[s] = total * sigmoid * (1.0f + before * (1.0f - sigmoid));
      db1->typed_data()[s] += d_hidden[s];
    }
    for (int64_t c = 0; c < c_count; ++c) {
      float total = 0;
      for (int64_t s = 0; s < s_count; ++s) {
        total += w1.typed_data()[c * s_count + s] * d_hidden[s];
        dw1->typed_data()[c * s_count + s] += means[c] * d_hidden[s];
      }
      offsets[image * c_count + c] = total / pixels.per_image;
    }
  }
  Scale(threads, pixels, of_dy, gate.typed_data(), offsets.data(), dx->elements());
}

}  // namespace hierseg
