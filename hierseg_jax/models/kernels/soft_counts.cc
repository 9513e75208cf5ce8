// What losses of classes are made of, of all levels of a tree, from one pass over the pixels.
//
// Every pixel has logits of C leaf classes; a level's class is as likely as its leaves together.
// A level adds up, over the pixels that count, -log of the true class's probability and, for each
// of its classes, the probability where it is true, the probability, and the pixels.

#include "kernels.h"
#include "pixel_classes.h"

namespace hierseg {
namespace {

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

inline float Sum(Vector v) {
  float sum = 0;
  for (int l = 0; l < kLanes; ++l) sum += v[l];
  return sum;
}

// Of the leaves of a pixel's true class: the greatest logit, and the sum of exp of what they are
// below it. A class far less likely than the smallest number keeps its logarithm.
inline void OfTrue(Block& block, const Levels& of, int64_t k, int64_t p, Vector* greatest,
                   Vector* sum) {
  *greatest = Vector{} - 3e38f;
  for (int64_t c = 0; c < of.leaves; ++c) {
    const Vector v = block.IsTrue(k, c, p) ? Load(block.Plane(c) + p) : *greatest;
    *greatest = v > *greatest ? v : *greatest;
  }
  *sum = Vector{};
  for (int64_t c = 0; c < of.leaves; ++c)
    *sum += block.IsTrue(k, c, p) ? Share(Load(block.Plane(c) + p) - *greatest) : Vector{};
}

// -log of its probability; 0 of a pixel that doesn't count.
inline Vector CrossEntropy(Block& block, const Levels& of, int64_t k, int64_t p) {
  Vector greatest, sum;
  OfTrue(block, of, k, p, &greatest, &sum);
  sum = sum > 0.0f ? sum : Vector{} + 1.0f;
  // Comparisons and Log hide what is no number; the last term shows it.
  const Vector value =
      Log(block.all()) - Log(sum) + (block.greatest() - greatest) + 0.0f * block.all();
  return block.Counts(p) > 0.0f ? value : Vector{};
}

// Blocks of a piece of work; their number does not depend on the threads.
constexpr int64_t kBlocksOfPiece = 16;

inline int64_t Pieces(const Levels& levels) { return CeilDiv(levels.blocks(), kBlocksOfPiece); }

// Cross-entropy, then three numbers of every class.
inline int64_t Numbers(const Levels& levels) { return 1 + 3 * levels.leaves; }

}  // namespace

// sums [levels, 1 + 3 C]: cross-entropy; then, for each class, true positives, what is predicted,
// and what is labelled.
void SoftCounts(const Threads& threads, Input logits, Input labels, Input class_of, Output sums) {
  const Levels levels(logits, labels, class_of);
  const int64_t leaves = levels.leaves, numbers = Numbers(levels);
  std::vector<double> parts(Pieces(levels) * levels.levels * numbers, 0.0);
  ParallelFor(threads, Pieces(levels), [&](int64_t piece) {
    Block block(levels);
    double* totals = &parts[piece * levels.levels * numbers];
    std::vector<Vector> of_block(levels.levels * numbers);
    const int64_t end = std::min((piece + 1) * kBlocksOfPiece, levels.blocks());
    for (int64_t b = piece * kBlocksOfPiece; b < end; ++b) {
      block.Read(b * kPixels);
      std::fill(of_block.begin(), of_block.end(), Vector{});
      for (int64_t p = 0; p < block.count(); p += kLanes) {
        block.Softmax(p);
        const Vector counts = block.Counts(p);
        for (int64_t k = 0; k < levels.levels; ++k) {
          Vector* to = &of_block[k * numbers];
          to[0] += CrossEntropy(block, levels, k, p);
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
    for (int64_t piece = 0; piece < Pieces(levels); ++piece)
      total += parts[piece * levels.levels * numbers + i];
    sums->typed_data()[i] = total;
  }
}

// d_logits [N, C] of d_sums, as `sums` of SoftCounts; those of what is labelled are passed over.
void SoftCountsGradient(const Threads& threads, Input logits, Input labels, Input class_of,
                        Input d_sums, Output d_logits) {
  const Levels levels(logits, labels, class_of);
  const int64_t leaves = levels.leaves, numbers = Numbers(levels);
  ParallelFor(threads, Pieces(levels), [&](int64_t piece) {
    Block block(levels);
    std::vector<Vector> of_probability(leaves), of_logit(leaves);
    AlignedVector<float> gradient(leaves * kPixels);
    const int64_t end = std::min((piece + 1) * kBlocksOfPiece, levels.blocks());
    for (int64_t b = piece * kBlocksOfPiece; b < end; ++b) {
      block.Read(b * kPixels);
      for (int64_t p = 0; p < block.count(); p += kLanes) {
        block.Softmax(p);
        std::fill(of_probability.begin(), of_probability.end(), Vector{});
        std::fill(of_logit.begin(), of_logit.end(), Vector{});
        for (int64_t k = 0; k < levels.levels; ++k) {
          const float* d = d_sums.typed_data() + k * numbers;
          Vector greatest, sum;
          OfTrue(block, levels, k, p, &greatest, &sum);
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
      block.WriteTo(d_logits->typed_data(), gradient.data());
    }
  });
}

}  // namespace hierseg
