// What losses of classes are made of, of all levels of a tree, from one pass over the pixels.
//
// Every pixel has logits of C leaf classes; a level's class is as likely as its leaves together.
// A level adds up, over the pixels that count, -log of the true class's probability and, for each
// of its classes, the probability where it is true, the probability, and the pixels.

#include "activations.h"
#include "kernels.h"

namespace hierseg {
namespace {

constexpr int64_t kPixels = 256;  // of a block, whose numbers stay in the cache

typedef int32_t Int __attribute__((vector_size(kLanes * sizeof(int32_t)), aligned(4), may_alias));

#ifdef HIERSEG_BFLOAT16
#error "Losses are of float32."
#endif

// log(v) of normal numbers above 0, to 2 units in the last place (Cephes' logf).
inline Vector Log(Vector v) {
  const Int bits = (Int)v;
  // A mantissa from sqrt(1/2) to sqrt(2).
  const Int shifted = bits - 0x3f3504f3;
  const Vector exponent = __builtin_convertvector(shifted >> 23, Vector);
  const Vector m = (Vector)((shifted & 0x7fffff) + 0x3f3504f3) - 1.0f;
  Vector p = Vector{} + 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const Vector square = m * m;
  return (p * m * square - 0.5f * square) + m + exponent * 0.69314718f;
}

// exp(v), v at most 0; 0 below 1e-26, for products with numbers near the smallest one take long.
inline Vector Share(Vector v) { return v < -60.0f ? Vector{} : Exp(v); }

inline float Sum(Vector v) {
  float sum = 0;
  for (int l = 0; l < kLanes; ++l) sum += v[l];
  return sum;
}

// A batch of pixels, and where their classes stand.
struct Levels {
  const float* logits;
  const int32_t* labels;    // of leaves; below 0 where a pixel counts nowhere
  const int32_t* class_of;  // [levels, C], of every leaf
  int64_t pixels, leaves, levels;

  Levels(Input logits_nc, Input labels_n, Input class_of_kc)
      : logits(logits_nc.typed_data()),
        labels(reinterpret_cast<const int32_t*>(labels_n.typed_data())),
        class_of(reinterpret_cast<const int32_t*>(class_of_kc.typed_data())),
        pixels(logits_nc.dimensions()[0]),
        leaves(logits_nc.dimensions()[1]),
        levels(class_of_kc.dimensions()[0]) {}

  int64_t blocks() const { return CeilDiv(pixels, kPixels); }
  // Blocks of a piece of work; their number does not depend on the threads.
  static constexpr int64_t kBlocksOfPiece = 16;
  int64_t pieces() const { return CeilDiv(blocks(), kBlocksOfPiece); }
  // Cross-entropy, then three numbers of every class.
  int64_t numbers() const { return 1 + 3 * leaves; }
};

// A block's pixels, class by class, and their softmax.
class Block {
 public:
  explicit Block(const Levels& of)
      : of_(of), planes_((2 * of.leaves) * kPixels), classes_(of.levels * kPixels) {}

  void Read(int64_t first) {
    count_ = std::min(kPixels, of_.pixels - first);
    for (int64_t p = 0; p < kPixels; ++p) {
      const int32_t label = p < count_ ? of_.labels[first + p] : -1;
      const float* from = of_.logits + (first + p) * of_.leaves;
      // Not even a NaN of a pixel that doesn't count reaches anything.
      for (int64_t c = 0; c < of_.leaves; ++c) planes_[c * kPixels + p] = label < 0 ? 0.0f : from[c];
      for (int64_t k = 0; k < of_.levels; ++k)
        classes_[k * kPixels + p] = label < 0 ? -1 : of_.class_of[k * of_.leaves + label];
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

  // Whether a pixel's true class at a level has the leaf c.
  Int IsTrue(int64_t k, int64_t c, int64_t p) const {
    return *reinterpret_cast<const Int*>(&classes_[k * kPixels + p]) ==
           of_.class_of[k * of_.leaves + c];
  }
  Vector Counts(int64_t p) const {
    return *reinterpret_cast<const Int*>(&classes_[p]) >= 0 ? Vector{} + 1.0f : Vector{};
  }

  // Of the leaves of a pixel's true class: the greatest logit, and the sum of exp of what they are
  // below it. A class far less likely than the smallest number keeps its logarithm.
  void OfTrue(int64_t k, int64_t p, Vector* greatest, Vector* sum) {
    *greatest = Vector{} - 3e38f;
    for (int64_t c = 0; c < of_.leaves; ++c) {
      const Vector v = IsTrue(k, c, p) ? Load(Plane(c) + p) : *greatest;
      *greatest = v > *greatest ? v : *greatest;
    }
    *sum = Vector{};
    for (int64_t c = 0; c < of_.leaves; ++c)
      *sum += IsTrue(k, c, p) ? Share(Load(Plane(c) + p) - *greatest) : Vector{};
  }
  // -log of its probability; 0 of a pixel that doesn't count.
  Vector CrossEntropy(int64_t k, int64_t p) {
    Vector greatest, sum;
    OfTrue(k, p, &greatest, &sum);
    sum = sum > 0.0f ? sum : Vector{} + 1.0f;
    // Comparisons and Log hide what is no number; the last term shows it.
    const Vector value = Log(all_) - Log(sum) + (greatest_ - greatest) + 0.0f * all_;
    return Counts(p) > 0.0f ? value : Vector{};
  }

  float* Plane(int64_t i) { return &planes_[i * kPixels]; }
  int64_t count() const { return count_; }

 private:
  const Levels& of_;
  AlignedVector<float> planes_;
  AlignedVector<int32_t> classes_;
  int64_t count_ = 0;
  Vector greatest_, all_;
};

}  // namespace

// sums [levels, 1 + 3 C]: cross-entropy; then, for each class, true positives, what is predicted,
// and what is labelled.
void SoftCounts(const Threads& threads, Input logits, Input labels, Input class_of, Output sums) {
  const Levels levels(logits, labels, class_of);
  const int64_t leaves = levels.leaves, numbers = levels.numbers();
  std::vector<double> parts(levels.pieces() * levels.levels * numbers, 0.0);
  ParallelFor(threads, levels.pieces(), [&](int64_t piece) {
    Block block(levels);
    double* totals = &parts[piece * levels.levels * numbers];
    std::vector<Vector> of_block(levels.levels * numbers);
    const int64_t end = std::min((piece + 1) * Levels::kBlocksOfPiece, levels.blocks());
    for (int64_t b = piece * Levels::kBlocksOfPiece; b < end; ++b) {
      block.Read(b * kPixels);
      std::fill(of_block.begin(), of_block.end(), Vector{});
      for (int64_t p = 0; p < block.count(); p += kLanes) {
        block.Softmax(p);
        const Vector counts = block.Counts(p);
        for (int64_t k = 0; k < levels.levels; ++k) {
          Vector* to = &of_block[k * numbers];
          to[0] += block.CrossEntropy(k, p);
          for (int64_t c = 0; c < leaves; ++c) {
            const int64_t v = 1 + levels.class_of[k * leaves + c];
            const Vector probability = block.Probability(c, p);
            to[v] += block.IsTrue(k, c, p) ? probability : Vector{};
            to[v + leaves] += counts * probability;
          }
        }
      }
      for (int64_t i = 0; i < levels.levels * numbers; ++i) totals[i] += Sum(of_block[i]);
      for (int64_t p = b * kPixels; p < b * kPixels + block.count(); ++p)
        for (int64_t k = 0; k < levels.levels && levels.labels[p] >= 0; ++k)
          totals[k * numbers + 1 + 2 * leaves + levels.class_of[k * leaves + levels.labels[p]]] += 1;
    }
  });
  for (int64_t i = 0; i < levels.levels * numbers; ++i) {
    double total = 0;
    for (int64_t piece = 0; piece < levels.pieces(); ++piece)
      total += parts[piece * levels.levels * numbers + i];
    sums->typed_data()[i] = total;
  }
}

// d_logits [N, C] of d_sums, as `sums` of SoftCounts; those of what is labelled are passed over.
void SoftCountsGradient(const Threads& threads, Input logits, Input labels, Input class_of,
                        Input d_sums, Output d_logits) {
  const Levels levels(logits, labels, class_of);
  const int64_t leaves = levels.leaves, numbers = levels.numbers();
  ParallelFor(threads, levels.pieces(), [&](int64_t piece) {
    Block block(levels);
    std::vector<Vector> of_probability(leaves), of_logit(leaves);
    AlignedVector<float> gradient(leaves * kPixels);
    const int64_t end = std::min((piece + 1) * Levels::kBlocksOfPiece, levels.blocks());
    for (int64_t b = piece * Levels::kBlocksOfPiece; b < end; ++b) {
      block.Read(b * kPixels);
      for (int64_t p = 0; p < block.count(); p += kLanes) {
        block.Softmax(p);
        std::fill(of_probability.begin(), of_probability.end(), Vector{});
        std::fill(of_logit.begin(), of_logit.end(), Vector{});
        for (int64_t k = 0; k < levels.levels; ++k) {
          const float* d = d_sums.typed_data() + k * numbers;
          Vector greatest, sum;
          block.OfTrue(k, p, &greatest, &sum);
          const Vector inverse = sum > 0.0f ? d[0] / sum : Vector{};
          for (int64_t c = 0; c < leaves; ++c) {
            const int64_t v = 1 + levels.class_of[k * leaves + c];
            const Int is_true = block.IsTrue(k, c, p);
            of_probability[c] += d[v + leaves] + (is_true ? Vector{} + d[v] : Vector{});
            of_logit[c] += d[0] * block.Probability(c, p);
            of_logit[c] -=
                is_true ? Share(Load(block.Plane(c) + p) - greatest) * inverse : Vector{};
          }
        }
        Vector mean = {};
        for (int64_t c = 0; c < leaves; ++c) mean += block.Probability(c, p) * of_probability[c];
        const Vector counts = block.Counts(p);
        for (int64_t c = 0; c < leaves; ++c)
          Store(&gradient[c * kPixels + p],
                counts * (block.Probability(c, p) * (of_probability[c] - mean) + of_logit[c]));
      }
      float* to = d_logits->typed_data() + b * kPixels * leaves;
      for (int64_t p = 0; p < block.count(); ++p)
        for (int64_t c = 0; c < leaves; ++c) to[p * leaves + c] = gradient[c * kPixels + p];
    }
  });
}

}  // namespace hierseg
