// Products of small matrices of bfloat16 numbers whose sums are float32: by the processor's matrix
// unit (AMX) where it has one and the system lets us use it, else by its vectors.

#ifndef HIERSEG_JAX_KERNELS_BLOCK_PRODUCT_H_
#define HIERSEG_JAX_KERNELS_BLOCK_PRODUCT_H_

#include "taps.h"

#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__linux__)
#define HIERSEG_AMX
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace hierseg {

constexpr int64_t kBlockRows = 16, kBlockDepth = 32;
// Of a result, in numbers.
constexpr int64_t kResultStep = 2 * kLanes;

// The sum over segments of left [rows, depth] times right [depth, vectors of columns].
struct BlockProduct {
  const Element* const* left;   // of every segment; null stands for zeros
  int64_t segments, step;       // elements between rows
  int64_t rows, depth;          // rows at most kBlockRows; depth even, at most kBlockDepth
  const Element* const* right;  // of every segment, [depth / 2][vectors * kLanes][2]
};

// Sixteen-bit numbers of two rows side by side, as pairs.
inline Words Interleave(Halves even, Halves odd) {
  return Extend(even) | (Extend(odd) << 16);
}

inline Vector AddProducts(Vector sum, Words pairs, uint32_t pair) {
  // Of Intel's processors those that have this instruction do better by others.
#if defined(__AVX512BF16__) && !defined(__AMX_TILE__)
  return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)pairs, (__m512bh)_mm512_set1_epi32(pair));
#else
  const Words both = Words{} + pair;
  sum += (Vector)(pairs << 16) * (Vector)(both << 16);
  return sum + (Vector)(pairs & 0xffff0000u) * (Vector)(both & 0xffff0000u);
#endif
}

template <int kRows, int kVectors>
void MultiplyVectors(const BlockProduct& p, int64_t offset, float* result) {
  Vector sum[kRows][kVectors] = {};
  for (int64_t s = 0; s < p.segments; ++s) {
    if (p.left[s] == nullptr) continue;
    const Element* left = p.left[s] + offset;
    const Element* right = p.right[s];
    for (int64_t k = 0; k < p.depth; k += 2) {
      Words pairs[kVectors];
      for (int v = 0; v < kVectors; ++v)
        pairs[v] = *reinterpret_cast<const Words*>(right + (k * kVectors + 2 * v) * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        uint32_t pair;
        std::memcpy(&pair, left + r * p.step + k, sizeof(pair));
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sum[r][v] = AddProducts(sum[r][v], pairs[v], pair);
      }
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) Store(result + r * kResultStep + v * kLanes, sum[r][v]);
}

#ifdef HIERSEG_AMX

// Whether the system lets this process use the matrix unit: its state is large.
inline bool HasMatrixUnit() {
  static const bool has = [] {
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return has;
}

template <bool kTwoTiles, bool kTwoVectors>
void MultiplyTiles(const BlockProduct& p, int64_t first, int64_t second, float* result) {
  asm volatile("" ::: "memory");  // The loads of tiles don't tell the compiler that they read.
  constexpr int64_t kStep = (kTwoVectors ? 2 : 1) * 2 * kLanes;
  const int64_t left_bytes = p.step * sizeof(Element), right_bytes = kStep * sizeof(Element);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t s = 0; s < p.segments; ++s) {
    const Element* left = p.left[s];
    if (left == nullptr) continue;
    const Element* right = p.right[s];
    _tile_loadd(4, left + first, left_bytes);
    _tile_loadd(6, right, right_bytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kTwoVectors) {
      _tile_loadd(7, right + 2 * kLanes, right_bytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kTwoTiles) {
      _tile_loadd(5, left + second, left_bytes);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (kTwoVectors) _tile_dpbf16ps(3, 5, 7);
    }
  }
  constexpr int64_t kBytes = kResultStep * sizeof(float);
  _tile_stored(0, result, kBytes);
  if constexpr (kTwoVectors) _tile_stored(1, result + kLanes, kBytes);
  if constexpr (kTwoTiles) {
    _tile_stored(2, result + p.rows * kResultStep, kBytes);
    if constexpr (kTwoVectors) _tile_stored(3, result + p.rows * kResultStep + kLanes, kBytes);
  }
}

#else
inline bool HasMatrixUnit() { return false; }
#endif

// What a thread needs while it multiplies blocks of one shape.
class Multiplier {
 public:
  Multiplier(int64_t rows, int64_t depth) : matrix_unit_(HasMatrixUnit()) {
#ifdef HIERSEG_AMX
    if (!matrix_unit_) return;
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t bytes[16] = {};
      uint8_t rows[16] = {};
    } shapes;
    const auto set = [&](int tile, int64_t tile_rows, int64_t bytes) {
      shapes.rows[tile] = tile_rows;
      shapes.bytes[tile] = bytes;
    };
    for (int tile : {0, 1, 2, 3}) set(tile, rows, kLanes * sizeof(float));
    for (int tile : {4, 5}) set(tile, rows, depth * sizeof(Element));
    for (int tile : {6, 7}) set(tile, depth / 2, 2 * kLanes * sizeof(Element));
    _tile_loadconfig(&shapes);
#endif
  }
  ~Multiplier() {
#ifdef HIERSEG_AMX
    if (matrix_unit_) _tile_release();
#endif
  }
  Multiplier(const Multiplier&) = delete;

  // Rows of the product for left matrices at one offset and, unless that is negative, a second.
  void operator()(const BlockProduct& p, int64_t first, int64_t second, int vectors,
                  float* result) const {
#ifdef HIERSEG_AMX
    if (matrix_unit_) {
      if (vectors == 2)
        return second < 0 ? MultiplyTiles<false, true>(p, first, second, result)
                          : MultiplyTiles<true, true>(p, first, second, result);
      return second < 0 ? MultiplyTiles<false, false>(p, first, second, result)
                        : MultiplyTiles<true, false>(p, first, second, result);
    }
#endif
    for (int64_t offset : {first, second}) {
      if (offset < 0) continue;
      ForPieces(p.rows, [&](int64_t row, int64_t size) {
        float* to = result + row * kResultStep;
        WithConstant(size, [&](auto rows) {
          if (vectors == 2)
            MultiplyVectors<rows(), 2>(p, offset + row * p.step, to);
          else
            MultiplyVectors<rows(), 1>(p, offset + row * p.step, to);
        });
      });
      result += p.rows * kResultStep;
    }
  }

 private:
  bool matrix_unit_;
};

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_BLOCK_PRODUCT_H_
