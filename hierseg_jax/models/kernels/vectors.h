// Vectors of the widest kind the compiler may use, and loops shared by several threads.

#ifndef HIERSEG_JAX_KERNELS_VECTORS_H_
#define HIERSEG_JAX_KERNELS_VECTORS_H_

// Headers take longer to compile than kernels do, so there are few of them.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

namespace hierseg {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
// Rows of accumulators of a matrix tile: with two vectors each they fill the registers.
constexpr int kTileRows = 8;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
constexpr int kTileRows = 5;
#else
constexpr int kLanes = 4;
constexpr int kTileRows = 8;
#endif

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

inline Vector Load(const float* from) { return *reinterpret_cast<const Vector*>(from); }
inline void Store(float* to, Vector value) { *reinterpret_cast<Vector*>(to) = value; }

// The first `count` lanes, or all where there are as many.
inline Vector LoadUpTo(const float* from, int64_t count) {
  if (count >= kLanes) return Load(from);
  Vector value = {};
  std::memcpy(&value, from, count * sizeof(float));
  return value;
}
inline void StoreUpTo(float* to, Vector value, int64_t count) {
  if (count >= kLanes) return Store(to, value);
  std::memcpy(to, &value, count * sizeof(float));
}

#ifdef HIERSEG_BFLOAT16
}  // namespace hierseg
#include "bfloat16.h"
namespace hierseg {
#else
// What activations are stored as; all else is float32.
using Element = float;
#endif

// Vectors and rows of a matrix that lie across two of the cache's lines take twice as long.
constexpr int64_t kLineBytes = 64;
template <typename T>
struct Aligned {
  using value_type = T;
  static constexpr std::align_val_t kLine{kLineBytes};
  T* allocate(size_t count) { return static_cast<T*>(operator new(count * sizeof(T), kLine)); }
  void deallocate(T* at, size_t) { operator delete(at, kLine); }
  bool operator==(const Aligned&) const { return true; }
  bool operator!=(const Aligned&) const { return false; }
};
template <typename T>
using AlignedVector = std::vector<T, Aligned<T>>;

// Memory that is written before it is read.
class Scratch {
 public:
  explicit Scratch(int64_t size) : size_(size), data_(Aligned<float>().allocate(size)) {}
  ~Scratch() { Aligned<float>().deallocate(data_, size_); }
  Scratch(const Scratch&) = delete;
  float* data() const { return data_; }

 private:
  int64_t size_;
  float* data_;
};

// Has numbers brought to the cache, which will be read a little later. GCC takes a function that
// does no more than this for one without effect, and drops its calls unless it has to inline it.
#define HIERSEG_INLINE inline __attribute__((always_inline))
HIERSEG_INLINE void Prefetch(const Element* from, int64_t count) {
  for (int64_t i = 0; i < count; i += kLineBytes / sizeof(Element)) __builtin_prefetch(from + i);
}

// The same where all of an array is read from its beginning to its end.
HIERSEG_INLINE void PrefetchAhead(const Element* from) {
  constexpr int64_t kAheadBytes = 4096;
  __builtin_prefetch(from + kAheadBytes / sizeof(Element));
}

// A function that is compiled once, however many call it.
#define HIERSEG_NOINLINE __attribute__((noinline))

inline int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A pool of threads.
struct Threads {
  // Runs work(what, 0) .. work(what, count - 1) on the calling thread and whatever others are free.
  void (*run)(const Threads& threads, int64_t count, void (*work)(const void* what, int64_t i),
              const void* what);
};

// Runs work(0) .. work(count - 1) on several threads.
template <typename F>
void ParallelFor(const Threads& threads, int64_t count, const F& work) {
  threads.run(
      threads, count, [](const void* what, int64_t i) { (*static_cast<const F*>(what))(i); }, &work);
}

// A dense array, of float32 or of elements; results are given as pointers to one.
class Array {
 public:
  Array(void* data, const int64_t* dimensions, int64_t rank)
      : data_(data), dimensions_(dimensions), rank_(rank) {}
  float* typed_data() const { return static_cast<float*>(data_); }
  Element* elements() const { return static_cast<Element*>(data_); }
  // Null where there is nothing.
  float* data_if_any() const { return element_count() ? typed_data() : nullptr; }
  Element* elements_if_any() const { return element_count() ? elements() : nullptr; }
  const int64_t* dimensions() const { return dimensions_; }
  int64_t element_count() const {
    int64_t count = 1;
    for (int64_t i = 0; i < rank_; ++i) count *= dimensions_[i];
    return count;
  }

 private:
  void* data_;
  const int64_t* dimensions_;
  int64_t rank_;
};

using Input = const Array&;
using Output = const Array*;
using Arrays = const std::vector<Array>&;

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_VECTORS_H_
