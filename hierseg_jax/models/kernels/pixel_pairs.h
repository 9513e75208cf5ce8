// Pixels laid out two by two, for products of bfloat16 that sum over pixels.

#ifndef HIERSEG_JAX_KERNELS_PIXEL_PAIRS_H_
#define HIERSEG_JAX_KERNELS_PIXEL_PAIRS_H_

#include <utility>

#include "block_product.h"

namespace hierseg {

// Rows of pixels laid out for products that sum over pixels, two by two.
//
// Where taps are whole pairs apart, or in other rows, they share what is laid out.
class PackedRows {
 public:
  PackedRows(const Element* x, Shape shape, int64_t stride, const std::vector<Tap>& taps,
             int64_t segments, int64_t grid_rows)
      : x_(x), shape_(shape), stride_(stride), channels_(CeilDiv(shape.channels, kLanes) * kLanes) {
    const int64_t period = 2 * stride;
    const auto rows = std::minmax_element(
        taps.begin(), taps.end(), [](const Tap& a, const Tap& b) { return a.row < b.row; });
    slots_ = (grid_rows - 1) * stride + rows.second->row - rows.first->row + 1;
    for (const Tap& tap : taps) {
      const int64_t column = (tap.column % period + period) % period;
      const int64_t shift = (tap.column - column) / period;
      size_t v = 0;
      while (v < versions_.size() && versions_[v].column != column) ++v;
      if (v == versions_.size()) versions_.push_back({column, shift, shift, 0, 0});
      versions_[v].first = std::min(versions_[v].first, shift);
      versions_[v].last = std::max(versions_[v].last, shift);
      of_tap_.push_back({v, shift});
    }
    for (Version& version : versions_) {
      version.pairs = segments * kPairs + version.last - version.first;
      version.at = slot_size_;
      slot_size_ += version.pairs * channels_;
    }
    packed_.resize(slots_ * slot_size_);
    owners_.assign(slots_, -1);
  }

  // Of a row of the input, laid out unless it is already; null outside.
  const uint32_t* Find(int64_t image, int64_t row) {
    if (row < 0 || row >= shape_.height) return nullptr;
    const int64_t number = image * shape_.height + row, slot = number % slots_;
    uint32_t* packed = &packed_[slot * slot_size_];
    if (owners_[slot] != number) {
      owners_[slot] = number;
      for (const Version& version : versions_)
        Pack(x_ + number * shape_.width * shape_.channels, version, packed + version.at);
    }
    return packed;
  }

  // The right matrix of a tap's first segment, for a tile of channels that begins there.
  const Element* Right(const uint32_t* row, size_t tap, int64_t first, int64_t width) const {
    const Version& version = versions_[of_tap_[tap].version];
    const int64_t pair = of_tap_[tap].shift - version.first;
    return reinterpret_cast<const Element*>(row + version.at + first * version.pairs +
                                            pair * width);
  }

  static constexpr int64_t kPairs = kBlockDepth / 2;

 private:
  struct Version {
    int64_t column, first, last, pairs, at;
  };
  struct Place {
    size_t version;
    int64_t shift;
  };

  // [tile of channels][pair][channel of the tile]
  void Pack(const Element* row, const Version& version, uint32_t* to) const {
    const int64_t c_count = shape_.channels;
    const auto pixel = [&](int64_t column, int64_t c) {
      if (column < 0 || column >= shape_.width) return Halves{};
      return LoadHalvesUpTo(row + column * c_count + c, c_count - c);
    };
    for (int64_t pair = 0; pair < version.pairs; ++pair) {
      const int64_t even = 2 * stride_ * (pair + version.first) + version.column;
      for (int64_t c = 0; c < c_count; c += kLanes) {
        const int64_t tile = c / (2 * kLanes) * 2 * kLanes;
        const int64_t width = std::min<int64_t>(2 * kLanes, channels_ - tile);
        uint32_t* pairs = to + tile * version.pairs + pair * width + c - tile;
        *reinterpret_cast<Words*>(pairs) = Interleave(pixel(even, c), pixel(even + stride_, c));
      }
    }
  }

  const Element* x_;
  Shape shape_;
  int64_t stride_, channels_, slots_, slot_size_ = 0;
  std::vector<Version> versions_;
  std::vector<Place> of_tap_;
  std::vector<int64_t> owners_;
  AlignedVector<uint32_t> packed_;
};

// Numbers of two vectors in turn, from a place of both on.
template <size_t... kLane>
inline Words InTurn(Words a, Words b, std::index_sequence<kLane...>) {
#ifdef __clang__
  return __builtin_shufflevector(a, b, kLane...);
#else
  return __builtin_shuffle(a, b, Words{kLane...});
#endif
}
template <size_t kFrom, size_t... kLane>
auto TurnsFrom(std::index_sequence<kLane...>) {
  return std::index_sequence<(kFrom + kLane / 2 + kLane % 2 * kLanes)...>();
}

// A square of pairs, its rows made columns.
inline void Transpose(Words (&rows)[kLanes]) {
  constexpr int kHalf = kLanes / 2;
  const auto low = TurnsFrom<0>(std::make_index_sequence<kLanes>());
  const auto high = TurnsFrom<kHalf>(std::make_index_sequence<kLanes>());
  for (int n = 1; n < kLanes; n *= 2) {
    Words mixed[kLanes];
    for (int i = 0; i < kHalf; ++i) {
      mixed[2 * i] = InTurn(rows[i], rows[i + kHalf], low);
      mixed[2 * i + 1] = InTurn(rows[i], rows[i + kHalf], high);
    }
    for (int i = 0; i < kLanes; ++i) rows[i] = mixed[i];
  }
}

// A row [pixel][channel] as [segment][channel][pair]: left matrices, with zeros behind its end.
inline void PackTransposed(const Element* row, int64_t width, int64_t channels, int64_t segments,
                    int64_t padded, uint32_t* to) {
  constexpr int64_t kPairs = PackedRows::kPairs;
  for (int64_t first = 0; first < segments * kPairs; first += kLanes)
    for (int64_t c = 0; c < padded; c += kLanes) {
      Words square[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        const int64_t p = 2 * (first + i);
        const Element* at = row + p * channels + c;
        const int64_t count = std::max<int64_t>(channels - c, 0);
        square[i] = Interleave(p < width ? LoadHalvesUpTo(at, count) : Halves{},
                               p + 1 < width ? LoadHalvesUpTo(at + channels, count) : Halves{});
      }
      Transpose(square);
      uint32_t* part = to + (first / kPairs * padded + c) * kPairs + first % kPairs;
      for (int i = 0; i < kLanes; ++i) *reinterpret_cast<Words*>(part + i * kPairs) = square[i];
    }
}

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_PIXEL_PAIRS_H_
