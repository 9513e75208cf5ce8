// Vectors of the widest kind the compiler may use, and loops shared by several threads.

#ifndef HIERSEG_JAX_KERNELS_VECTORS_H_
#define HIERSEG_JAX_KERNELS_VECTORS_H_

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
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

inline int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A pool of threads: how many there are, and how to have one of them run something.
struct Threads {
  int64_t count;
  std::function<void(std::function<void()>)> schedule;
};

// A dense array, of float32 or of elements; results are given as pointers to one.
class Array {
 public:
  Array(void* data, std::vector<int64_t> dimensions)
      : data_(data), dimensions_(std::move(dimensions)) {}
  float* typed_data() const { return static_cast<float*>(data_); }
  Element* elements() const { return static_cast<Element*>(data_); }
  // Null where there is nothing.
  float* data_if_any() const { return element_count() ? typed_data() : nullptr; }
  Element* elements_if_any() const { return element_count() ? elements() : nullptr; }
  const std::vector<int64_t>& dimensions() const { return dimensions_; }
  int64_t element_count() const {
    int64_t count = 1;
    for (int64_t side : dimensions_) count *= side;
    return count;
  }

 private:
  void* data_;
  std::vector<int64_t> dimensions_;
};

using Input = const Array&;
using Output = const Array*;
using Arrays = const std::vector<Array>&;

// Runs work(0) .. work(count - 1) on the calling thread and whatever threads of the pool are
// free. The caller never waits for work that nobody has begun, so a pool without a free
// thread can't block it.
inline void ParallelFor(const Threads& threads, int64_t count, std::function<void(int64_t)> work) {
  struct Shared {
    std::function<void(int64_t)> work;
    int64_t count;
    std::atomic<int64_t> next{0};
    std::atomic<int64_t> done{0};
    std::mutex mutex;
    std::condition_variable all_done;

    void Help() {
      for (int64_t i = next++; i < count; i = next++) {
        work(i);
        if (++done == count) {
          std::lock_guard<std::mutex> lock(mutex);
          all_done.notify_all();
        }
      }
    }
  };
  auto shared = std::make_shared<Shared>();
  shared->work = std::move(work);
  shared->count = count;
  const int64_t helpers = std::min(threads.count, count) - 1;
  for (int64_t i = 0; i < helpers; ++i) threads.schedule([shared] { shared->Help(); });
  shared->Help();
  std::unique_lock<std::mutex> lock(shared->mutex);
  shared->all_done.wait(lock, [&] { return shared->done == count; });
}

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_VECTORS_H_
