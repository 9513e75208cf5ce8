// Many arrays as one vector, and sums of many: one call of XLA's for all parameters of a network,
// which compiles in no time, rather than a program for each.

#include "kernels.h"

namespace hierseg {

// The last array is all others, one behind the other.
void Join(const Threads&, Arrays parts_then_whole) {
  float* to = parts_then_whole.back().typed_data();
  for (size_t i = 0; i + 1 < parts_then_whole.size(); ++i) {
    const int64_t size = parts_then_whole[i].element_count();
    std::copy_n(parts_then_whole[i].typed_data(), size, to);
    to += size;
  }
}

// The inverse of Join.
void Split(const Threads&, Input whole, Arrays parts) {
  const float* from = whole.typed_data();
  for (const Array& part : parts) {
    std::copy_n(from, part.element_count(), part.typed_data());
    from += part.element_count();
  }
}

// Of three equal lists of arrays, the third is factors[0] times the first plus factors[1] times
// the second.
void Combine(const Threads&, Input factors, Arrays arrays) {
  const float left = factors.typed_data()[0], right = factors.typed_data()[1];
  const size_t count = arrays.size() / 3;
  for (size_t k = 0; k < count; ++k) {
    const float *a = arrays[k].typed_data(), *b = arrays[count + k].typed_data();
    float* to = arrays[2 * count + k].typed_data();
    for (int64_t i = 0; i < arrays[k].element_count(); ++i) to[i] = left * a[i] + right * b[i];
  }
}

}  // namespace hierseg
