// Batch normalisation of [B, h, w, C] arrays together with what follows it:
//
//   y = activation(shortcut + factor (scale (x - mean) / sqrt(variance + epsilon) + bias)),
//
// where factor is that of dropout, [B, C]; factor and shortcut may be absent. What is computed of
// single channels is computed here as well, since XLA takes long to compile many small programs.
// One pass over memory each for the moments, the result, the gradient's sums and the gradient.
// Sums are taken over blocks of pixels in float32 and over the blocks in float64, in an order that
// does not depend on the number of threads.

#include "activations.h"
#include "kernels.h"
#include "pixels.h"

namespace hierseg {
namespace {

constexpr int64_t kFewBytes = 1024;

// The channels of a pixel in vectors of `lanes`; the last one begins sooner where it would reach
// over the end.
struct Vectors {
  int64_t channels, lanes, count;

  explicit Vectors(int64_t channels)
      : channels(channels),
        lanes(std::min<int64_t>(channels, kLanes)),
        count(CeilDiv(channels, kLanes)) {}
  int64_t First(int64_t v) const { return std::min(v * kLanes, channels - lanes); }

  // Calls f(vector, first channel, its element in the first of a few pixels, and behind the last):
  // so few that they are read one behind the other, as memory likes it.
  template <typename F>
  void ForPixels(int64_t first, int64_t pixels, F f, int64_t bytes = kFewBytes) const {
    const int64_t few = std::max<int64_t>(bytes / (channels * sizeof(Element)), 1);
    for (int64_t p = first; p < first + pixels; p += few) {
      const int64_t end = std::min(p + few, first + pixels) * channels;
      for (int64_t v = 0; v < count; ++v) f(v, First(v), p * channels + First(v), end);
    }
  }

  // Calls f(channel, vector, lane) for every channel.
  template <typename F>
  void ForChannels(F f) const {
    for (int64_t c = 0; c < channels; ++c) f(c, c / kLanes, c - First(c / kLanes));
  }
};

// The reciprocal standard deviation of every channel.
std::vector<float> Inverse(Input variance, float epsilon) {
  std::vector<float> inverse(variance.element_count());
  for (size_t c = 0; c < inverse.size(); ++c)
    inverse[c] = 1.0f / __builtin_sqrtf(variance.typed_data()[c] + epsilon);
  return inverse;
}

// Of the numbers of some channels of one image.
struct Coefficients {
  Vector mean, scale, bias, factor;
};

// Numbers of the channels.
struct Channels {
  const float *means, *biases, *factors;
  int64_t count;
  std::vector<float> inverse, scales;

  Channels(Input mean, Input variance, Input scale, Input bias, Input factor, float epsilon)
      : means(mean.typed_data()),
        biases(bias.typed_data()),
        factors(factor.data_if_any()),
        count(mean.element_count()),
        inverse(Inverse(variance, epsilon)),
        scales(inverse) {
    for (int64_t c = 0; c < count; ++c) scales[c] *= scale.typed_data()[c];
  }
  Coefficients Load(int64_t image, int64_t c, int64_t lanes) const {
    return {LoadUpTo(means + c, lanes), LoadUpTo(&scales[c], lanes), LoadUpTo(biases + c, lanes),
            factors == nullptr ? Vector{} + 1.0f : LoadUpTo(factors + image * count + c, lanes)};
  }
};

// What both passes of the gradient need: dy through the activation and the dropout.
struct GradientInputs {
  const Element *x, *y, *dy;

  GradientInputs(Input x, Input y, Input dy)
      : x(x.elements()), y(y.elements()), dy(dy.elements()) {}

  template <int64_t kActivation>
  static constexpr bool kFromResult = kActivation == kRelu || kActivation == kRelu6;

  // For a pass that writes nothing; those that do wait for what they write.
  template <int64_t kActivation>
  HIERSEG_INLINE void PrefetchAhead(int64_t i) const {
    hierseg::PrefetchAhead(x + i);
    hierseg::PrefetchAhead(dy + i);
    if constexpr (kFromResult<kActivation>) hierseg::PrefetchAhead(y + i);
  }

  template <int64_t kActivation>
  Vector Through(int64_t i, int64_t lanes, Vector centred, const Coefficients& of) const {
    const Vector result = kFromResult<kActivation> ? LoadUpTo(y + i, lanes) : Vector{};
    return Derive<kActivation>(LoadUpTo(dy + i, lanes), result,
                               (centred * of.scale + of.bias) * of.factor);
  }
};

}  // namespace

void Moments(const Threads& threads, Input x_buffer, Output mean, Output variance) {
  const Pixels pixels(x_buffer);
  const int64_t c_count = pixels.channels;
  const Vectors vectors(c_count);
  const Element* x = x_buffer.elements();
  struct Sums {
    std::vector<double> mean, squares;
    double count = 0;
    // Of two sets of pixels (Chan et al. 1979).
    void Add(int64_t c, double other_mean, double other_squares, double other_count) {
      const double delta = other_mean - mean[c], whole = count + other_count;
      mean[c] += delta * other_count / whole;
      squares[c] += other_squares + delta * delta * count * other_count / whole;
    }
  };
  std::vector<Sums> parts(pixels.total());
  ParallelFor(threads, pixels.total(), [&](int64_t piece) {
    Sums& sums = parts[piece];
    sums.mean.assign(c_count, 0.0);
    sums.squares.assign(c_count, 0.0);
    std::vector<Vector> sum(vectors.count), squares(vectors.count);
    pixels.ForBlocks(piece, [&](int64_t, int64_t first, int64_t count) {
      std::fill(sum.begin(), sum.end(), Vector{});
      std::fill(squares.begin(), squares.end(), Vector{});
      vectors.ForPixels(first, count, [&](int64_t v, int64_t, int64_t begin, int64_t end) {
        Vector total = sum[v];
        for (int64_t i = begin; i < end; i += c_count) {
          PrefetchAhead(x + i);
          total += LoadUpTo(x + i, vectors.lanes);
        }
        sum[v] = total;
      }, 4 * kFewBytes);
      for (Vector& of : sum) of /= static_cast<float>(count);
      vectors.ForPixels(first, count, [&](int64_t v, int64_t, int64_t begin, int64_t end) {
        const Vector mean = sum[v];
        Vector total = squares[v];
        for (int64_t i = begin; i < end; i += c_count) {
          const Vector deviation = LoadUpTo(x + i, vectors.lanes) - mean;
          total += deviation * deviation;
        }
        squares[v] = total;
      }, 4 * kFewBytes);
      vectors.ForChannels([&](int64_t c, int64_t v, int64_t lane) {
        sums.Add(c, sum[v][lane], squares[v][lane], count);
      });
      sums.count += count;
    });
  });
  Sums& whole = parts[0];
  for (int64_t piece = 1; piece < pixels.total(); ++piece) {
    const Sums& part = parts[piece];
    for (int64_t c = 0; c < c_count; ++c) whole.Add(c, part.mean[c], part.squares[c], part.count);
    whole.count += part.count;
  }
  for (int64_t c = 0; c < c_count; ++c) {
    mean->typed_data()[c] = whole.mean[c];
    variance->typed_data()[c] = whole.squares[c] / whole.count;
  }
}

// Running statistics: past times the old ones and present times the batch's.
void AverageMoments(const Threads&, Input mean, Input variance, Input past_mean,
                    Input past_variance, Output new_mean, Output new_variance, float past,
                    float present, float present_variance) {
  const auto average = [&](Input now, Input then, Output result, float share) {
    for (int64_t c = 0; c < now.element_count(); ++c)
      result->typed_data()[c] = past * then.typed_data()[c] + share * now.typed_data()[c];
  };
  average(mean, past_mean, new_mean, present);
  average(variance, past_variance, new_variance, present_variance);
}

void Normalize(const Threads& threads, Input x_buffer, Input mean_buffer, Input variance_buffer,
               Input scale_buffer, Input bias_buffer, Input factor_buffer, Input shortcut_buffer,
               Output result, int64_t activation, float epsilon) {
  const Pixels pixels(x_buffer);
  const Channels channels(mean_buffer, variance_buffer, scale_buffer, bias_buffer, factor_buffer,
                          epsilon);
  const int64_t c_count = pixels.channels;
  const Vectors vectors(c_count);
  const int64_t lanes = vectors.lanes;
  const Element *x = x_buffer.elements(), *shortcut = shortcut_buffer.elements_if_any();
  Element* y = result->elements();
  WithActivation(activation, [&](auto kind) {
    ParallelFor(threads, pixels.total(), [&](int64_t piece) {
      pixels.ForBlocks(piece, [&](int64_t image, int64_t first, int64_t count) {
        vectors.ForPixels(first, count, [&](int64_t, int64_t c, int64_t begin, int64_t end) {
          const Coefficients of = channels.Load(image, c, lanes);
          for (int64_t i = begin; i < end; i += c_count) {
            Vector v = ((LoadUpTo(x + i, lanes) - of.mean) * of.scale + of.bias) * of.factor;
            if (shortcut != nullptr) v += LoadUpTo(shortcut + i, lanes);
            StoreUpTo(y + i, Activate<kind()>(v), lanes);
          }
        });
      });
    });
  });
}

// sums[0] = sum of g and sums[1] = sum of g (x - mean), g = factor activation'(...) dy. SiLU
// is only for layers without a shortcut.
void NormalizeSums(const Threads& threads, Input x, Input y, Input dy, Input mean_buffer,
                   Input variance_buffer, Input scale_buffer, Input bias_buffer,
                   Input factor_buffer, Output result, int64_t activation, float epsilon) {
  const Pixels pixels(x);
  const Channels channels(mean_buffer, variance_buffer, scale_buffer, bias_buffer, factor_buffer,
                          epsilon);
  const int64_t c_count = pixels.channels;
  const Vectors vectors(c_count);
  const int64_t lanes = vectors.lanes;
  const GradientInputs in(x, y, dy);
  std::vector<double> parts(pixels.total() * 2 * c_count, 0.0);
  WithActivation(activation, [&](auto kind) {
    ParallelFor(threads, pixels.total(), [&](int64_t piece) {
      double* part = &parts[piece * 2 * c_count];
      std::vector<Vector> sum(vectors.count), product(vectors.count);
      pixels.ForBlocks(piece, [&](int64_t image, int64_t first, int64_t count) {
        std::fill(sum.begin(), sum.end(), Vector{});
        std::fill(product.begin(), product.end(), Vector{});
        vectors.ForPixels(first, count, [&](int64_t v, int64_t c, int64_t begin, int64_t end) {
          const Coefficients of = channels.Load(image, c, lanes);
          Vector of_g = sum[v], of_product = product[v];
          for (int64_t i = begin; i < end; i += c_count) {
            in.PrefetchAhead<kind()>(i);
            const Vector centred = LoadUpTo(in.x + i, lanes) - of.mean;
            const Vector g = in.Through<kind()>(i, lanes, centred, of);
            of_g += g;
            of_product += g * centred;
          }
          sum[v] = of_g;
          product[v] = of_product;
        });
        for (int64_t v = 0; v < vectors.count; ++v) {
          const Vector factor = channels.Load(image, vectors.First(v), lanes).factor;
          sum[v] *= factor;
          product[v] *= factor;
        }
        vectors.ForChannels([&](int64_t c, int64_t v, int64_t lane) {
          part[c] += sum[v][lane];
          part[c_count + c] += product[v][lane];
        });
      });
    });
  });
  for (int64_t i = 0; i < 2 * c_count; ++i) {
    double total = 0;
    for (int64_t piece = 0; piece < pixels.total(); ++piece)
      total += parts[piece * 2 * c_count + i];
    result->typed_data()[i] = total;
  }
}

// dx = scale (g - shares[0] - (x - mean) shares[1]), and what flows into the shortcut where
// there is one (else an empty array), into scale and bias. What a pixel adds to mean and variance
// concerns all pixels that have them: shared_sums are the mean of their sums over the devices,
// each of which has `count` pixels.
void NormalizeGradient(const Threads& threads, Input x, Input y, Input dy, Input mean_buffer,
                       Input variance_buffer, Input scale_buffer, Input bias_buffer,
                       Input factor_buffer, Input sums, Input shared_sums, Output dx_buffer,
                       Output d_shortcut_buffer, Output d_scale, Output d_bias, int64_t activation,
                       float epsilon, float count) {
  const Pixels pixels(x);
  const Channels channels(mean_buffer, variance_buffer, scale_buffer, bias_buffer, factor_buffer,
                          epsilon);
  const int64_t c_count = pixels.channels;
  const Vectors vectors(c_count);
  const int64_t lanes = vectors.lanes;
  const GradientInputs in(x, y, dy);
  std::vector<float> shares(2 * c_count);
  for (int64_t c = 0; c < c_count; ++c) {
    const float inverse = channels.inverse[c];
    shares[c] = shared_sums.typed_data()[c] / count;
    shares[c_count + c] = shared_sums.typed_data()[c_count + c] / count * (inverse * inverse);
    d_scale->typed_data()[c] = sums.typed_data()[c_count + c] * inverse;
    d_bias->typed_data()[c] = sums.typed_data()[c];
  }
  Element* dx = dx_buffer->elements();
  Element* d_shortcut = d_shortcut_buffer->elements_if_any();
  WithActivation(activation, [&](auto kind) {
    ParallelFor(threads, pixels.total(), [&](int64_t piece) {
      pixels.ForBlocks(piece, [&](int64_t image, int64_t first, int64_t count) {
        vectors.ForPixels(first, count, [&](int64_t, int64_t c, int64_t begin, int64_t end) {
          const Coefficients of = channels.Load(image, c, lanes);
          const Vector share = LoadUpTo(&shares[c], lanes),
                       slope = LoadUpTo(&shares[c_count + c], lanes);
          for (int64_t i = begin; i < end; i += c_count) {
            const Vector centred = LoadUpTo(in.x + i, lanes) - of.mean;
            const Vector g = in.Through<kind()>(i, lanes, centred, of);
            if (d_shortcut != nullptr) StoreUpTo(d_shortcut + i, g, lanes);
            StoreUpTo(dx + i, of.scale * (g * of.factor - share - centred * slope), lanes);
          }
        });
      });
    });
  });
}

}  // namespace hierseg
