// Transforms of the algorithms of Toom, Cook and Winograd for convolutions along a line.
//
// Pixels, d, are the coefficients of a polynomial, and so are the taps, g. Of their product one
// needs the values at as many points as it has coefficients, and each of them is one product
// where the convolution has many. F(outputs, taps) has outputs + taps - 1 points: 0, some pairs
// of a point and its negative, and infinity. In a pair, even and odd coefficients are shared.
// What is transposed here computes a sum over taps in place of a product of polynomials.

#ifndef HIERSEG_JAX_KERNELS_WINOGRAD_TRANSFORMS_H_
#define HIERSEG_JAX_KERNELS_WINOGRAD_TRANSFORMS_H_

#include "finish.h"

namespace hierseg {

constexpr int kMaxPositions = 8, kMaxOutputs = 4, kMaxTaps = 5;

// Points whose products round least, of those tried.
template <int kPairs>
constexpr double kPoints[kPairs] = {};
template <>
constexpr double kPoints<2>[2] = {1.4142135623730951, 0.7071067811865476};
template <>
constexpr double kPoints<3>[3] = {2.0, 1.0, 0.5};

// Coefficients of x^0, x^2, .. of the product of (x^2 - point^2) over all points but one.
template <int kPairs>
struct Polynomial {
  double of[kPairs + 1] = {1.0};
  constexpr explicit Polynomial(int without = kPairs) {
    for (int p = 0, degree = 0; p < kPairs; ++p) {
      if (p == without) continue;
      const double square = kPoints<kPairs>[p] * kPoints<kPairs>[p];
      for (int k = ++degree; k > 0; --k) of[k] = of[k - 1] - square * of[k];
      of[0] *= -square;
    }
  }
};

// What a tap's weight counts at each position.
template <int kPairs, int kTaps>
struct Factors {
  float of[2 * kPairs + 2][kMaxTaps] = {};
  constexpr Factors() {
    of[0][0] = 1 / Polynomial<kPairs>().of[0];
    of[2 * kPairs + 1][kTaps - 1] = 1;
    for (int p = 0; p < kPairs; ++p) {
      const double point = kPoints<kPairs>[p];
      // The product of the distances to 0, to its negative and to the other pairs.
      double distances = 2 * point * point;
      for (int q = 0; q < kPairs; ++q)
        if (q != p) distances *= point * point - kPoints<kPairs>[q] * kPoints<kPairs>[q];
      double power = 1 / distances;
      for (int t = 0; t < kTaps; ++t, power *= point) {
        of[2 * p + 1][t] = power;
        of[2 * p + 2][t] = t % 2 ? -power : power;
      }
    }
  }
};
template <int kPairs, int kTaps>
constexpr Factors<kPairs, kTaps> kFactors;

template <int kPairs>
struct Coefficients {
  float all[kPairs + 1] = {}, others[kPairs][kPairs] = {}, point[kPairs] = {};
  constexpr Coefficients() {
    for (int k = 0; k <= kPairs; ++k) all[k] = Polynomial<kPairs>().of[k];
    for (int p = 0; p < kPairs; ++p) {
      point[p] = kPoints<kPairs>[p];
      for (int k = 0; k < kPairs; ++k) others[p][k] = Polynomial<kPairs>(p).of[k];
    }
  }
};

// The pixels under a group of outputs -> their values at each position, `step` numbers apart. Of at
// least kLanes channels.
template <int kPairs>
void TransformPixels(const float* const* pixels, int64_t channels, float* to, int64_t step) {
  constexpr Coefficients<kPairs> by;
  constexpr int kLast = 2 * kPairs + 1;
  for (int64_t next = 0; next < channels; next += kLanes) {
    // The last vector may lie over the one before it.
    const int64_t c = std::min(next, channels - kLanes);
    Vector d[kLast + 1];
#pragma GCC unroll 8
    for (int k = 0; k <= kLast; ++k) d[k] = Load(pixels[k] + c);
    Vector zero = d[kLast - 1], infinity = d[kLast];
#pragma GCC unroll 8
    for (int k = 0; k < kPairs; ++k) {
      zero += by.all[k] * d[2 * k];
      infinity += by.all[k] * d[2 * k + 1];
    }
    Store(to + c, zero);
    Store(to + kLast * step + c, infinity);
#pragma GCC unroll 8
    for (int p = 0; p < kPairs; ++p) {
      Vector even = d[kLast - 1], odd = d[kLast - 2];
#pragma GCC unroll 8
      for (int k = 0; k < kPairs - 1; ++k) {
        even += by.others[p][k] * d[2 * k + 2];
        odd += by.others[p][k] * d[2 * k + 1];
      }
      Store(to + (2 * p + 1) * step + c, even + by.point[p] * odd);
      Store(to + (2 * p + 2) * step + c, even - by.point[p] * odd);
    }
  }
}

// The products of a group and a tile of channels -> its outputs, those that aren't null, finished.
template <int kPairs, int kOutputs>
void TransformProducts(const float* products, int64_t step, const Finish& finish,
                       float* const* outputs, int64_t first, int64_t channels) {
  constexpr Coefficients<kPairs> by;
  for (int64_t c = 0; c < channels; c += kLanes, products += kLanes) {
    Vector y[kOutputs];
#pragma GCC unroll 8
    for (int k = 0; k < kOutputs; ++k) y[k] = Vector{};
    y[0] += Load(products);
    y[kOutputs - 1] += Load(products + (2 * kPairs + 1) * step);
#pragma GCC unroll 8
    for (int p = 0; p < kPairs; ++p) {
      const Vector a = Load(products + (2 * p + 1) * step);
      const Vector b = Load(products + (2 * p + 2) * step);
      Vector even = a + b, odd = a - b;
#pragma GCC unroll 8
      for (int k = 0; k < kOutputs; k += 2) {
        y[k] += even;
        even *= by.point[p] * by.point[p];
        odd *= k ? by.point[p] * by.point[p] : by.point[p];
        y[k + 1] += odd;
      }
    }
#pragma GCC unroll 8
    for (int k = 0; k < kOutputs; ++k) y[k] += Load(finish.bias() + first + c);
    if (finish.IsSimple()) {
#pragma GCC unroll 8
      for (int k = 0; k < kOutputs; ++k) {
        if (outputs[k] == nullptr) continue;
        if (finish.IsRelu()) y[k] = y[k] < 0.0f ? Vector{} : y[k];
        StoreUpTo(outputs[k] + first + c, y[k], channels - c);
      }
      continue;
    }
    // Others than `y`, whose address nobody is to have.
    Vector sums[kOutputs];
    std::copy_n(y, kOutputs, sums);
    for (int k = 0; k < kOutputs; ++k) {
      if (outputs[k] == nullptr) continue;
      float* at = outputs[k] + first + c;
      StoreUpTo(at, finish.Result(sums[k], at, channels - c), channels - c);
    }
  }
}

// Gradients of a group's outputs -> those of its products; the sums of all gradients grow.
template <int kPairs, int kOutputs>
void TransformGradients(float* const* gradients, int64_t channels, float* to, int64_t step,
                        float* sums) {
  constexpr Coefficients<kPairs> by;
  for (int64_t c = 0; c < channels; c += kLanes, to += kLanes) {
    Vector y[kOutputs], sum = Load(sums + c);
#pragma GCC unroll 8
    for (int k = 0; k < kOutputs; ++k) {
      y[k] = LoadUpTo(gradients[k] + c, channels - c);
      sum += y[k];
    }
    Store(sums + c, sum);
    Store(to, y[0]);
    Store(to + (2 * kPairs + 1) * step, y[kOutputs - 1]);
#pragma GCC unroll 8
    for (int p = 0; p < kPairs; ++p) {
      Vector even = y[kOutputs - 2], odd = y[kOutputs - 1];
#pragma GCC unroll 8
      for (int k = kOutputs - 4; k >= 0; k -= 2) {
        even = y[k] + by.point[p] * by.point[p] * even;
        odd = y[k + 1] + by.point[p] * by.point[p] * odd;
      }
      Store(to + (2 * p + 1) * step, even + by.point[p] * odd);
      Store(to + (2 * p + 2) * step, even - by.point[p] * odd);
    }
  }
}

// F(outputs, taps).
struct Winograd {
  int64_t taps, outputs, positions;
  const float (*factors)[kMaxTaps];
  decltype(&TransformPixels<2>) pixels;
  decltype(&TransformProducts<2, 4>) products;
  decltype(&TransformGradients<2, 4>) gradients;
};

template <int kPairs, int kOutputs, int kTaps = 2 * kPairs + 3 - kOutputs>
constexpr Winograd kWinograd = {kTaps,
                                kOutputs,
                                2 * kPairs + 2,
                                kFactors<kPairs, kTaps>.of,
                                TransformPixels<kPairs>,
                                TransformProducts<kPairs, kOutputs>,
                                TransformGradients<kPairs, kOutputs>};

// The taps' weights, [tap][size] -> each position's, `step` numbers apart.
inline void TransformWeights(const Winograd& winograd, const float* weights, int64_t size,
                             float* to, int64_t step) {
  for (int64_t j = 0; j < winograd.positions; ++j)
    for (int64_t i = 0; i < size; i += kLanes) {
      Vector sum = {};
      for (int64_t t = 0; t < winograd.taps; ++t)
        sum += winograd.factors[j][t] * Load(weights + t * size + i);
      Store(to + j * step + i, sum);
    }
}

// Gradients of the positions' weights, [position][size] -> those of the taps', `step` apart.
inline void TransformWeightGradients(const Winograd& winograd, const float* gradients,
                                     int64_t size, float* to, int64_t step) {
  for (int64_t t = 0; t < winograd.taps; ++t)
    for (int64_t i = 0; i < size; i += kLanes) {
      Vector sum = {};
      for (int64_t j = 0; j < winograd.positions; ++j)
        sum += winograd.factors[j][t] * Load(gradients + j * size + i);
      Store(to + t * step + i, sum);
    }
}

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_WINOGRAD_TRANSFORMS_H_
