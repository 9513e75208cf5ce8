// Pixels of a batch, the classes they bear at every level of a tree, and the softmax of their logits.

#ifndef HIERSEG_JAX_KERNELS_PIXEL_CLASSES_H_
#define HIERSEG_JAX_KERNELS_PIXEL_CLASSES_H_

#include <initializer_list>

#include "activations.h"

namespace hierseg {

constexpr int64_t kPixels = 256;  // of a block, whose numbers stay in the cache

typedef int32_t Int __attribute__((vector_size(kLanes * sizeof(int32_t)), aligned(4), may_alias));

#ifdef HIERSEG_BFLOAT16
#error "Losses are of float32."
#endif

// exp(v), v at most 0; 0 below 1e-26, for products with numbers near the smallest one take long.
inline Vector Share(Vector v) { return v < -60.0f ? Vector{} : Exp(v); }

// A batch of pixels, and what their labels say at every level.
struct Levels {
  const float* logits;
  const int32_t* labels;    // below 0 where a pixel counts nowhere
  const int32_t* class_of;  // [levels, C], of every leaf
  int64_t pixels, leaves, levels, labels_count;
  // What is looked up for every pixel by its label: [labels + 1, numbers]. A pixel that counts
  // nowhere is one of the last label, so that no loop over pixels asks whether they count. The
  // first numbers are the classes at each level, below 0 where they are unknown.
  int64_t numbers;
  std::vector<int32_t> of_label;
  // What a table says of labels at a level: one of the numbers looked up; or, with `number` below
  // 0, `all` of every label whose class is known, as where none weighs more than others, which
  // saves looking it up. It is 0 where the class is unknown. Floats are here bit by bit.
  struct Row {
    int64_t number;
    int32_t all;
  };
  std::vector<Row> rows;  // [tables, levels]

  // class_of_kl and tables: [levels, labels], of 32 bits.
  Levels(Input logits_nc, Input labels_n, Input class_of_kc, Input class_of_kl,
         std::initializer_list<const Array*> tables)
      : logits(logits_nc.typed_data()),
        labels(Words(labels_n)),
        class_of(Words(class_of_kc)),
        pixels(logits_nc.dimensions()[0]),
        leaves(logits_nc.dimensions()[1]),
        levels(class_of_kc.dimensions()[0]),
        labels_count(class_of_kl.dimensions()[1]) {
    std::vector<std::vector<int32_t>> looked_up(levels);
    for (int64_t k = 0; k < levels; ++k) {
      const int32_t* classes = Words(class_of_kl) + k * labels_count;
      looked_up[k].assign(classes, classes + labels_count);
      looked_up[k].push_back(-1);
    }
    for (const Array* table : tables) {
      for (int64_t k = 0; k < levels; ++k) {
        const int32_t* of = Words(*table) + k * labels_count;
        std::vector<int32_t> column(labels_count + 1, 0), known;
        for (int64_t l = 0; l < labels_count; ++l)
          if (looked_up[k][l] >= 0) known.push_back(column[l] = of[l]);
        std::sort(known.begin(), known.end());
        const bool differ = !known.empty() && known.front() != known.back();
        const int64_t next = looked_up.size();
        rows.push_back({differ ? next : -1, known.empty() ? 0 : known.front()});
        if (differ) looked_up.push_back(column);
      }
    }
    numbers = looked_up.size();
    for (int64_t l = 0; l <= labels_count; ++l)
      for (const std::vector<int32_t>& column : looked_up) of_label.push_back(column[l]);
  }

  static const int32_t* Words(Input array) {
    return reinterpret_cast<const int32_t*>(array.typed_data());
  }
  int64_t blocks() const { return CeilDiv(pixels, kPixels); }
};

// A block's pixels, class by class, and their softmax.
class Block {
 public:
  explicit Block(const Levels& of)
      : of_(of), planes_((2 * of.leaves) * kPixels), of_label_(of.numbers * kPixels) {}

  void Read(int64_t first) {
    first_ = first, count_ = std::min(kPixels, of_.pixels - first);
    for (int64_t p = 0; p < kPixels; ++p) {
      const int32_t label = p < count_ ? of_.labels[first + p] : -1;
      const float* from = of_.logits + (first + p) * of_.leaves;
      // Not even a NaN of a pixel that doesn't count reaches anything.
      for (int64_t c = 0; c < of_.leaves; ++c) planes_[c * kPixels + p] = label < 0 ? 0.0f : from[c];
      const int32_t* numbers = &of_.of_label[(label < 0 ? of_.labels_count : label) * of_.numbers];
      for (int64_t i = 0; i < of_.numbers; ++i) of_label_[i * kPixels + p] = numbers[i];
    }
  }

  // Softmax of the pixels from p on: of leaf c it is Probability(c, p).
  void Softmax(int64_t p) {
    greatest_ = Load(Plane(0) + p);
    for (int64_t c = 1; c < of_.leaves; ++c) {
      const Vector v = Load(Plane(c) + p);
      greatest_ = v > greatest_ ? v : greatest_;
    }
    all_ = Vector{};
    for (int64_t c = 0; c < of_.leaves; ++c) {
      const Vector e = Share(Load(Plane(c) + p) - greatest_);
      Store(Plane(of_.leaves + c) + p, e);
      all_ += e;
    }
    const Vector inverse = 1.0f / all_;
    for (int64_t c = 0; c < of_.leaves; ++c)
      Store(Plane(of_.leaves + c) + p, Load(Plane(of_.leaves + c) + p) * inverse);
  }
  Vector Probability(int64_t c, int64_t p) { return Load(Plane(of_.leaves + c) + p); }

  // The true classes of pixels at a level; below 0 where they are unknown.
  Int ClassAt(int64_t k, int64_t p) const { return Number(k, p); }
  // What a table has of their labels; 0 where the class is unknown.
  Int WordsAt(int64_t table, int64_t k, int64_t p) const {
    const Levels::Row& row = of_.rows[table * of_.levels + k];
    if (row.number >= 0) return Number(row.number, p);
    return ClassAt(k, p) >= 0 ? Int{} + row.all : Int{};
  }
  Vector WeightsAt(int64_t table, int64_t k, int64_t p) const {
    return (Vector)WordsAt(table, k, p);
  }
  // Whether a pixel's true class at a level has the leaf c.
  Int IsTrue(int64_t k, int64_t c, int64_t p) const {
    return ClassAt(k, p) == of_.class_of[k * of_.leaves + c];
  }

  // Of the pixels that Softmax was called for last: the greatest logit, and the sum of exp of what
  // all are below it.
  Vector greatest() const { return greatest_; }
  Vector all() const { return all_; }

  // Pixel by pixel, as logits lie, what is given leaf by leaf.
  void WriteTo(float* d_logits, const float* planes) const {
    float* to = d_logits + first_ * of_.leaves;
    for (int64_t p = 0; p < count_; ++p)
      for (int64_t c = 0; c < of_.leaves; ++c) to[p * of_.leaves + c] = planes[c * kPixels + p];
  }

  float* Plane(int64_t i) { return &planes_[i * kPixels]; }
  int64_t count() const { return count_; }

 private:
  Int Number(int64_t i, int64_t p) const {
    return *reinterpret_cast<const Int*>(&of_label_[i * kPixels + p]);
  }

  const Levels& of_;
  AlignedVector<float> planes_;
  AlignedVector<int32_t> of_label_;
  int64_t first_ = 0, count_ = 0;
  Vector greatest_, all_;
};

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_PIXEL_CLASSES_H_
