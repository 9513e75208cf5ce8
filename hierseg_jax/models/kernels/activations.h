// Activations and their derivatives.

#ifndef HIERSEG_JAX_KERNELS_ACTIVATIONS_H_
#define HIERSEG_JAX_KERNELS_ACTIVATIONS_H_

#include "vectors.h"

namespace hierseg {

enum Activation : int64_t { kNone = 0, kRelu = 1, kSilu = 2, kRelu6 = 3 };

#if defined(HIERSEG_BFLOAT16) && defined(__AVX512F__)

// 1 / (1 + exp(-v)) to 1e-4, a fraction of what bfloat16 keeps.
inline Vector Sigmoid(Vector v) {
  // The second of two operands that can't be compared: what is no number stays so.
  const Vector limit = Vector{} + 126.0f;
  Vector power = (Vector)_mm512_min_ps((__m512)limit, (__m512)(v * -1.44269504f));
  power = (Vector)_mm512_max_ps((__m512)-limit, (__m512)power);
  // 2^n times 2 to the power of a remainder within a half; adding 1.5 * 2^23 rounds.
  const float round = 12582912.0f;
  const Vector shifted = power + round;
  const Vector r = power - (shifted - round);
  Vector p = Vector{} + 9.6181291e-3f;
  p = p * r + 5.5504109e-2f;
  p = p * r + 2.4022651e-1f;
  p = p * r + 6.9314718e-1f;
  p = p * r + 1.0f;
  const Vector exp = (Vector)((Words)p + ((Words)shifted << 23));
  return (Vector)_mm512_rcp14_ps((__m512)(exp + 1.0f));
}

#else

// exp(v) to 2 units in the last place; v is clamped to where the result is a normal number.
inline Vector Exp(Vector v) {
  typedef int32_t Int __attribute__((vector_size(kLanes * sizeof(int32_t))));
  const Vector low = Vector{} - 87.0f, high = Vector{} + 88.0f;
  v = v < low ? low : v;
  v = v > high ? high : v;
  // 2^n times exp of a remainder within +-log(2)/2; adding 1.5 * 2^23 rounds.
  const float round = 12582912.0f;
  const Vector shifted = v * 1.44269504f + round;
  const Vector n = shifted - round;
  const Vector r = (v - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector p = Vector{} + 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const Int exponent = (__builtin_convertvector(n, Int) + 127) << 23;
  return p * (Vector)exponent;
}

inline Vector Sigmoid(Vector v) { return 1.0f / (1.0f + Exp(-v)); }

#endif

template <int64_t kActivation>
inline Vector Activate(Vector v) {
  if constexpr (kActivation == kRelu) return v < 0.0f ? Vector{} : v;  // keeps NaN
  if constexpr (kActivation == kSilu) return v * Sigmoid(v);
  if constexpr (kActivation == kRelu6) {
    v = v < 0.0f ? Vector{} : v;
    return v > 6.0f ? Vector{} + 6.0f : v;
  }
  return v;
}

// The activation's derivative times dy. Those of ReLU and ReLU6 are told from their results.
template <int64_t kActivation>
inline Vector Derive(Vector dy, Vector y, Vector before) {
  if constexpr (kActivation == kRelu) return y > 0.0f ? dy : Vector{};
  if constexpr (kActivation == kSilu) {
    const Vector s = Sigmoid(before);
    return dy * (s * (1.0f + before * (1.0f - s)));
  }
  if constexpr (kActivation == kRelu6) {
    const Vector below = y < 6.0f ? dy : Vector{};
    return y > 0.0f ? below : Vector{};
  }
  return dy;
}

// Calls f with the activation as a constant.
template <typename F>
void WithActivation(int64_t activation, F f) {
  if (activation == kRelu)
    f(std::integral_constant<int64_t, kRelu>());
  else if (activation == kSilu)
    f(std::integral_constant<int64_t, kSilu>());
  else if (activation == kRelu6)
    f(std::integral_constant<int64_t, kRelu6>());
  else
    f(std::integral_constant<int64_t, kNone>());
}

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_ACTIVATIONS_H_
