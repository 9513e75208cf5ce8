// Threefry 2x32 with 20 rounds, as JAX counts.

#include "kernels.h"

// The bindings are compiled with -O1, by which millions of fresh weights take a tenth of the pace.
#pragma GCC push_options
#pragma GCC optimize("O3")

namespace hierseg {
namespace {

struct Pair {
  uint32_t first, second;
};

inline Pair Threefry(Pair key, Pair x) {
  constexpr int kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const uint32_t keys[3] = {key.first, key.second, key.first ^ key.second ^ 0x1BD11BDA};
  x.first += keys[0];
  x.second += keys[1];
  for (uint32_t i = 0; i < 5; ++i) {
    for (int rotation : kRotations[i % 2]) {
      x.first += x.second;
      x.second = (x.second << rotation) | (x.second >> (32 - rotation));
      x.second ^= x.first;
    }
    x.first += keys[(i + 1) % 3];
    x.second += keys[(i + 2) % 3] + i + 1;
  }
  return x;
}

// Arrays are declared as float32; these hold uint32.
const uint32_t* Bits(Input array) { return reinterpret_cast<const uint32_t*>(array.typed_data()); }
uint32_t* Bits(Output array) { return reinterpret_cast<uint32_t*>(array->typed_data()); }
Pair PairOf(Input array) { return {Bits(array)[0], Bits(array)[1]}; }

}  // namespace

void FoldIn(const Threads&, Input key, Input number, Output result) {
  const Pair folded = Threefry(PairOf(key), {0, Bits(number)[0]});
  Bits(result)[0] = folded.first;
  Bits(result)[1] = folded.second;
}

// `count` numbers, as RandomBits gives them.
void FillBits(Pair key, int64_t count, uint32_t* to) {
  for (int64_t i = 0; i < count; ++i) {
    const Pair pair = Threefry(key, {0, static_cast<uint32_t>(i)});
    to[i] = pair.first ^ pair.second;
  }
}

#pragma GCC pop_options

void RandomBits(const Threads&, Input key, Output result) {
  FillBits(PairOf(key), result->element_count(), Bits(result));
}

}  // namespace hierseg

// For Python, without XLA.
extern "C" void hierseg_fill_bits(uint32_t first, uint32_t second, int64_t count, uint32_t* to) {
  hierseg::FillBits({first, second}, count, to);
}

extern "C" void hierseg_fold(uint32_t first, uint32_t second, uint32_t number, uint32_t* to) {
  const hierseg::Pair folded = hierseg::Threefry({first, second}, {0, number});
  to[0] = folded.first;
  to[1] = folded.second;
}
