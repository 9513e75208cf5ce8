// Activations stored as bfloat16, the upper halves of float32 numbers. They are widened in the
// registers, and rounded to the nearest, ties to even, when they are stored.

#ifndef HIERSEG_JAX_KERNELS_BFLOAT16_H_
#define HIERSEG_JAX_KERNELS_BFLOAT16_H_

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace hierseg {

using Element = uint16_t;
typedef uint16_t Halves
    __attribute__((vector_size(kLanes * sizeof(uint16_t)), aligned(2), may_alias));
typedef uint32_t Words __attribute__((vector_size(kLanes * sizeof(uint32_t)), aligned(4), may_alias));

// In the lower halves of words.
inline Words Extend(Halves halves) {
  // GCC 12 takes five instructions for what is one.
#if defined(__AVX512F__)
  return (Words)_mm512_cvtepu16_epi32((__m256i)halves);
#elif defined(__AVX2__)
  return (Words)_mm256_cvtepu16_epi32((__m128i)halves);
#else
  return __builtin_convertvector(halves, Words);
#endif
}

inline Vector Widen(Halves halves) { return (Vector)(Extend(halves) << 16); }

inline Halves Narrow(Vector value) {
#ifdef __AVX512BF16__
  return (Halves)_mm512_cvtneps_pbh((__m512)value);
#else
  const Words bits = (Words)value;
  const Words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  // Of what is no number the rounding could make one.
  const Words upper = (bits >> 16) | 0x40;
  return __builtin_convertvector(value == value ? rounded : upper, Halves);
#endif
}

inline Element Narrow(float value) { return Narrow(Vector{} + value)[0]; }

inline Vector Load(const Element* from) { return Widen(*reinterpret_cast<const Halves*>(from)); }
inline void Store(Element* to, Vector value) { *reinterpret_cast<Halves*>(to) = Narrow(value); }

// As they are stored.
inline Halves LoadHalvesUpTo(const Element* from, int64_t count) {
  if (count >= kLanes) return *reinterpret_cast<const Halves*>(from);
#ifdef __AVX512BF16__
  return (Halves)_mm256_maskz_loadu_epi16((1u << count) - 1, from);
#else
  Halves halves = {};
  std::memcpy(&halves, from, count * sizeof(Element));
  return halves;
#endif
}

inline Vector LoadUpTo(const Element* from, int64_t count) {
  return Widen(LoadHalvesUpTo(from, count));
}
inline void StoreUpTo(Element* to, Vector value, int64_t count) {
  if (count >= kLanes) return Store(to, value);
  const Halves halves = Narrow(value);
#ifdef __AVX512BF16__
  _mm256_mask_storeu_epi16(to, (1u << count) - 1, (__m256i)halves);
#else
  std::memcpy(to, &halves, count * sizeof(Element));
#endif
}

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_BFLOAT16_H_
