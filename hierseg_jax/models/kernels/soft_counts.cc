// What losses of classes are made of, of all levels of a tree, from one pass over the pixels.
//
// Every pixel has logits of C leaf classes; a level's class is as likely as its leaves together. Its
// label says what its true class is, as far down as that is known, and how much it counts: a level
// adds up, over the pixels whose class is known there, -log of the true class's probability, with
// one weight, and with another, for each of its classes, the probability where it is true, and the
// probability.

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

// -log of its probability; 0 of a pixel whose class is unknown.
inline Vector CrossEntropy(Block& block, const Levels& of, int64_t k, int64_t p) {
  Vector greatest, sum;
  OfTrue(block, of, k, p, &greatest, &sum);
  sum = sum > 0.0f ? sum : Vector{} + 1.0f;
  // Comparisons and Log hide what is no number; the last term shows it.
  const Vector value =
      Log(block.all()) - Log(sum) + (block.greatest() - greatest) + 0.0f * block.all();
  return block.ClassAt(k, p) >= 0 ? value : Vector{};
}

// Blocks of a piece of work; their number does not depend on the threads.
constexpr int64_t kBlocksOfPiece = 16;

inline int64_t Pieces(const Levels& levels) { return CeilDiv(levels.blocks(), kBlocksOfPiece); }

// Cross-entropy, then two numbers of every class.
inline int64_t Numbers(const Levels& levels) { return 1 + 2 * levels.leaves; }

enum Weight : int64_t { kEntropy, kRegion };  // tables of labels

}  // namespace

// How many pixels have each label: counts [labels], of labels [N], -1 where a pixel counts nowhere.
void LabelCounts(const Threads& threads, Input labels, Output counts) {
  constexpr int64_t kPixelsOfPiece = 65536;
  // One after the other pixels often have the same label: of several tables none has to wait.
  constexpr int64_t kTables = 4;
  const int64_t pixels = labels.dimensions()[0], size = counts->dimensions()[0] + 1;
  const int64_t pieces = CeilDiv(pixels, kPixelsOfPiece);
  std::vector<int32_t> parts(pieces * kTables * size, 0);
  ParallelFor(threads, pieces, [&](int64_t piece) {
    const int32_t* label = Levels::Words(labels);
    int32_t* found = &parts[piece * kTables * size];
    const int64_t end = std::min((piece + 1) * kPixelsOfPiece, pixels);
    for (int64_t p = piece * kPixelsOfPiece; p < end; ++p)
      ++found[p % kTables * size + label[p] + 1];
  });
  auto* to = reinterpret_cast<int32_t*>(counts->typed_data());
  for (int64_t l = 1; l < size; ++l) {
    to[l - 1] = 0;
    for (int64_t i = l; i < pieces * kTables * size; i += size) to[l - 1] += parts[i];
  }
}

// sums [levels, 1 + 2 C]: cross-entropy; then, for each class, true positives, and what is
// predicted. Of each label at each level: its class, and the weights of its pixels in either.
void SoftCounts(const Threads& threads, Input logits, Input labels, Input class_of,
                Input class_of_label, Input entropy_weights, Input region_weights, Output sums) {
  const Levels levels(logits, labels, class_of, class_of_label,
                      {&entropy_weights, &region_weights});
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
        for (int64_t k = 0; k < levels.levels; ++k) {
          Vector* to = &of_block[k * numbers];
          to[0] += block.WeightsAt(kEntropy, k, p) * CrossEntropy(block, levels, k, p);
          const Vector weights = block.WeightsAt(kRegion, k, p);
          for (int64_t c = 0; c < leaves; ++c) {
            const int64_t v = 1 + levels.class_of[k * leaves + c];
            const Vector predicted = weights * block.Probability(c, p);
            to[v] += block.IsTrue(k, c, p) ? predicted : Vector{};
            to[v + leaves] += predicted;
          }
        }
      }
      for (int64_t i = 0; i < levels.levels * numbers; ++i) totals[i] += Sum(of_block[i]);
    }
  });
  for (int64_t i = 0; i < levels.levels * numbers; ++i) {
    double total = 0;
    for (int64_t piece = 0; piece < Pieces(levels); ++piece)
      total += parts[piece * levels.levels * numbers + i];
    sums->typed_data()[i] = total;
  }
}

// d_logits [N, C] of d_sums, as `sums` of SoftCounts.
void SoftCountsGradient(const Threads& threads, Input logits, Input labels, Input class_of,
                        Input class_of_label, Input entropy_weights, Input region_weights,
                        Input d_sums, Output d_logits) {
  const Levels levels(logits, labels, class_of, class_of_label,
                      {&entropy_weights, &region_weights});
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
          const Vector of_entropy = d[0] * block.WeightsAt(kEntropy, k, p);
          const Vector weights = block.WeightsAt(kRegion, k, p);
          const Vector inverse = sum > 0.0f ? of_entropy / sum : Vector{};
          for (int64_t c = 0; c < leaves; ++c) {
            const int64_t v = 1 + levels.class_of[k * leaves + c];
            const Int is_true = block.IsTrue(k, c, p);
            const Vector of_region = d[v + leaves] + (is_true ? Vector{} + d[v] : Vector{});
            of_probability[c] += weights * of_region;
            of_logit[c] += of_entropy * block.Probability(c, p);
            of_logit[c] -=
                is_true ? Share(Load(block.Plane(c) + p) - greatest) * inverse : Vector{};
          }
        }
        Vector mean = {};
        for (int64_t c = 0; c < leaves; ++c) mean += block.Probability(c, p) * of_probability[c];
        for (int64_t c = 0; c < leaves; ++c)
          Store(&gradient[c * kPixels + p],
                block.Probability(c, p) * (of_probability[c] - mean) + of_logit[c]);
      }
      block.WriteTo(d_logits->typed_data(), gradient.data());
    }
  });
}

}  // namespace hierseg
