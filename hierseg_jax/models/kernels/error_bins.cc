// What Lovász-softmax is made of: how many pixels err by how much at every class of a tree.
//
// Every pixel has logits of C leaf classes; a class of any level is as likely as its leaves
// together. A pixel's error there is 1 less the probability where it bears the class, and the
// probability elsewhere. Errors from 0 to 1 are counted in bins of equal width.
//
// A pixel counts at the levels where its class is known. How much it weighs there is for others to
// say, who know it of its label's group: weighted sums would depend on the order of pixels.

#include "kernels.h"
#include "pixel_classes.h"

namespace hierseg {
namespace {

// A bin of a class in one number, so that to count a pixel is one addition: how many have an error
// there, above how far these are from the bin's beginning, in units of 2^-16 of its width. Whole
// numbers have the same sum in any order.
constexpr int kFraction = 16, kSums = 40;
constexpr int64_t kMostPixels = int64_t{1} << (kSums - kFraction - 2);  // of a piece of work
// Of all pieces together where one has fewer: what they hold stays below 256 MB.
constexpr int64_t kMostNumbers = int64_t{1} << 25;

// The classes of all levels, numbered on from level to level.
struct Classes : Levels {
  int64_t groups, bins;
  std::vector<int64_t> level_of;

  // `shape` is [classes, groups + 1, bins].
  Classes(Input logits_nc, Input labels_n, Input class_of_kc, Input class_of_kl,
          Input group_of_kl, const int64_t* shape)
      : Levels(logits_nc, labels_n, class_of_kc, class_of_kl, {&group_of_kl}),
        groups(shape[1] - 1),
        bins(shape[2]),
        level_of(shape[0]) {
    for (int64_t i = 0; i < levels * leaves; ++i) level_of[class_of[i]] = i / leaves;
    // Of a group where its bins begin.
    for (Row& row : rows) row.all *= bins;
    for (int64_t i = 0; i < (labels_count + 1) * numbers; ++i)
      if (i % numbers >= levels) of_label[i] *= bins;
  }
  int64_t count() const { return level_of.size(); }
  // Numbers of a class: bins of the groups' pixels without it, and bins of those with it.
  int64_t size() const { return (groups + 1) * bins; }
  static constexpr int64_t kFirstBin = 0;  // the table of labels
};

// Where the errors of a vector of pixels stand.
class Errors {
 public:
  explicit Errors(const Classes& of) : of_(of), probabilities_(of.count()) {}

  // Of pixels whose softmax the block has.
  void Read(Block& block, int64_t p) {
    std::fill(probabilities_.begin(), probabilities_.end(), Vector{});
    for (int64_t c = 0; c < of_.leaves; ++c)
      for (int64_t k = 0; k < of_.levels; ++k)
        probabilities_[of_.class_of[k * of_.leaves + c]] += block.Probability(c, p);
  }
  // Of a class: whether pixels count at its level and bear it, the number of their bin, and how far
  // they are from its beginning.
  void Place(const Block& block, int64_t v, int64_t p, Int* counts, Int* is_true, Int* bin,
             Int* fraction) {
    const int64_t k = of_.level_of[v];
    *counts = block.ClassAt(k, p) >= 0;
    *is_true = block.ClassAt(k, p) == static_cast<int32_t>(v);
    const Vector probability = probabilities_[v];
    Vector error = *is_true ? 1.0f - probability : probability;
    error = error > 0.0f ? error : Vector{};  // of what is no number, too
    const float units = static_cast<float>(of_.bins << kFraction);
    const Int at = __builtin_convertvector(error * units, Int);
    const int32_t last = of_.bins - 1, first_of_true = of_.groups * of_.bins;
    *bin = at >> kFraction;
    *bin = *bin > last ? Int{} + last : *bin;
    *fraction = at - (*bin << kFraction);
    *bin += *is_true ? Int{} + first_of_true : block.WordsAt(Classes::kFirstBin, k, p);
  }

 private:
  const Classes& of_;
  std::vector<Vector> probabilities_;
};

}  // namespace

// Of T classes, of pixels without the class, by the groups of their labels, and last of those with
// it, in every bin: how many, counts [T, groups + 1, bins], and their errors, sums, the same.
// class_of [levels, C] and class_of_label [levels, labels] have numbers below T.
void ErrorBins(const Threads& threads, Input logits, Input labels, Input class_of,
               Input class_of_label, Input group_of_label, Output counts, Output sums) {
  const Classes classes(logits, labels, class_of, class_of_label, group_of_label,
                        sums->dimensions());
  const int64_t blocks = classes.blocks(), size = classes.size();
  // Where a pixel doesn't count is one number more.
  const int64_t stride = size + 1, found_size = classes.count() * stride;
  const int64_t least = CeilDiv(classes.pixels, kMostPixels - kPixels);
  const int64_t most = std::min<int64_t>(std::min<int64_t>(blocks, 16), kMostNumbers / found_size);
  const int64_t pieces = std::max(least, most);
  std::vector<std::vector<uint64_t>> parts(pieces);
  std::vector<char> spoiled(pieces, 0);
  ParallelFor(threads, pieces, [&](int64_t piece) {
    Block block(classes);
    Errors errors(classes);
    std::vector<uint64_t> found(found_size, 0);
    Vector all = {};
    for (int64_t b = piece * blocks / pieces; b < (piece + 1) * blocks / pieces; ++b) {
      block.Read(b * kPixels);
      for (int64_t p = 0; p < block.count(); p += kLanes) {
        block.Softmax(p);
        all += 0.0f * block.all();
        errors.Read(block, p);
        for (int64_t v = 0; v < classes.count(); ++v) {
          Int is_counted, is_true, bin, fraction;
          errors.Place(block, v, p, &is_counted, &is_true, &bin, &fraction);
          bin = is_counted ? bin : Int{} + static_cast<int32_t>(size);
          uint64_t* of_class = &found[v * stride];
          for (int l = 0; l < kLanes; ++l)
            of_class[bin[l]] += (uint64_t{1} << kSums) + static_cast<uint64_t>(fraction[l]);
        }
      }
    }
    for (int l = 0; l < kLanes; ++l) spoiled[piece] |= all[l] != 0.0f;
    parts[piece] = std::move(found);
  });
  // What is no number is in no bin, and shows in all of them.
  const bool is_spoiled = std::any_of(spoiled.begin(), spoiled.end(), [](char is) { return is; });
  auto* count_to = reinterpret_cast<int32_t*>(counts->typed_data());
  ParallelFor(threads, classes.count(), [&](int64_t v) {
    for (int64_t i = 0; i < size; ++i) {
      uint64_t count = 0, fractions = 0;
      for (const std::vector<uint64_t>& part : parts) {
        const uint64_t found = part[v * stride + i];
        count += found >> kSums;
        fractions += found & ((uint64_t{1} << kSums) - 1);
      }
      const double bins = static_cast<double>(i % classes.bins) * count +
                          static_cast<double>(fractions) / (1 << kFraction);
      count_to[v * size + i] = count;
      sums->typed_data()[v * size + i] =
          is_spoiled ? __builtin_nanf("") : static_cast<float>(bins / classes.bins);
    }
  });
}

// d_logits [N, C] of d_sums [T, groups + 1, bins].
void ErrorBinsGradient(const Threads& threads, Input logits, Input labels, Input class_of,
                       Input class_of_label, Input group_of_label, Input d_sums,
                       Output d_logits) {
  const Classes classes(logits, labels, class_of, class_of_label, group_of_label,
                        d_sums.dimensions());
  const int64_t leaves = classes.leaves;
  ParallelFor(threads, classes.blocks(), [&](int64_t b) {
    Block block(classes);
    Errors errors(classes);
    std::vector<Vector> of_class(classes.count()), of_leaf(leaves);
    AlignedVector<float> gradient(leaves * kPixels);
    block.Read(b * kPixels);
    for (int64_t p = 0; p < block.count(); p += kLanes) {
      block.Softmax(p);
      errors.Read(block, p);
      for (int64_t v = 0; v < classes.count(); ++v) {
        Int is_counted, is_true, bin, fraction;
        errors.Place(block, v, p, &is_counted, &is_true, &bin, &fraction);
        const float* slopes = d_sums.typed_data() + v * classes.size();
        Vector slope = {};
        for (int l = 0; l < kLanes; ++l) slope[l] = slopes[bin[l]];
        slope = is_counted ? slope : Vector{};
        of_class[v] = is_true ? -slope : slope;
      }
      Vector mean = {};
      for (int64_t c = 0; c < leaves; ++c) {
        of_leaf[c] = Vector{};
        for (int64_t k = 0; k < classes.levels; ++k)
          of_leaf[c] += of_class[classes.class_of[k * leaves + c]];
        mean += block.Probability(c, p) * of_leaf[c];
      }
      for (int64_t c = 0; c < leaves; ++c)
        Store(&gradient[c * kPixels + p], block.Probability(c, p) * (of_leaf[c] - mean));
    }
    block.WriteTo(d_logits->typed_data(), gradient.data());
  });
}

}  // namespace hierseg
