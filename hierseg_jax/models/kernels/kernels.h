// The kernels; what they compute stands with their definitions.

#ifndef HIERSEG_JAX_KERNELS_KERNELS_H_
#define HIERSEG_JAX_KERNELS_KERNELS_H_

#include "vectors.h"

namespace hierseg {

// Found by these names in a library of their own.
extern "C" {

void Convolve(const Threads& threads, Input x, Input weights, Input bias, Input mean, Input variance,
              Input scale, Input offset, Input shortcut, Output y, int64_t stride,
              int64_t dilation_h, int64_t dilation_w, int64_t pad_h, int64_t pad_w, bool transposed,
              bool turned, int64_t activation, float epsilon);

void KernelGradient(const Threads& threads, Input x, Input dy, Output gradient, Output dbias,
                    int64_t stride, int64_t dilation_h, int64_t dilation_w, int64_t pad_h,
                    int64_t pad_w);

void Depthwise(const Threads& threads, Input x, Input weights, Input bias, Input mean,
               Input variance, Input scale, Input offset, Input shortcut, Output y, int64_t stride,
               int64_t dilation_h, int64_t dilation_w, int64_t pad_h, int64_t pad_w,
               bool transposed, int64_t activation, float epsilon);

void DepthwiseGradient(const Threads& threads, Input x, Input dy, Output gradient, int64_t stride,
                       int64_t dilation_h, int64_t dilation_w, int64_t pad_h, int64_t pad_w);

void RectifyGradient(const Threads& threads, Input y, Input dy, Output result);

void Moments(const Threads& threads, Input x_buffer, Output mean, Output variance);

void AverageMoments(const Threads& threads, Input mean, Input variance, Input past_mean,
                    Input past_variance, Output new_mean, Output new_variance, float past,
                    float present, float present_variance);

void Normalize(const Threads& threads, Input x_buffer, Input mean_buffer, Input variance_buffer,
               Input scale_buffer, Input bias_buffer, Input factor_buffer, Input shortcut_buffer,
               Output result, int64_t activation, float epsilon);

void NormalizeSums(const Threads& threads, Input x, Input y, Input dy, Input mean_buffer,
                   Input variance_buffer, Input scale_buffer, Input bias_buffer,
                   Input factor_buffer, Output result, int64_t activation, float epsilon);

void NormalizeGradient(const Threads& threads, Input x, Input y, Input dy, Input mean_buffer,
                       Input variance_buffer, Input scale_buffer, Input bias_buffer,
                       Input factor_buffer, Input sums, Input shared_sums, Output dx_buffer,
                       Output d_shortcut_buffer, Output d_scale, Output d_bias, int64_t activation,
                       float epsilon, float count);

void SqueezeExcite(const Threads& threads, Input x, Input w1, Input b1, Input w2, Input b2,
                   Output y, Output mean, Output hidden, Output gate);

void SqueezeExciteGradient(const Threads& threads, Input x, Input dy, Input w1, Input w2,
                           Input mean, Input hidden, Input gate, Output dx, Output dw1, Output db1,
                           Output dw2, Output db2);

void LabelCounts(const Threads& threads, Input labels, Output counts);

void SoftCounts(const Threads& threads, Input logits, Input labels, Input class_of,
                Input class_of_label, Input entropy_weights, Input region_weights, Output sums);

void SoftCountsGradient(const Threads& threads, Input logits, Input labels, Input class_of,
                        Input class_of_label, Input entropy_weights, Input region_weights,
                        Input d_sums, Output d_logits);

void ErrorBins(const Threads& threads, Input logits, Input labels, Input class_of,
               Input class_of_label, Input group_of_label, Output counts, Output sums);

void ErrorBinsGradient(const Threads& threads, Input logits, Input labels, Input class_of,
                       Input class_of_label, Input group_of_label, Input d_sums, Output d_logits);

}  // extern "C"

void Join(const Threads& threads, Arrays parts_then_whole);

void Split(const Threads& threads, Input whole, Arrays parts);

void Combine(const Threads& threads, Input factors, Arrays arrays);

void FoldIn(const Threads& threads, Input key, Input number, Output result);

void RandomBits(const Threads& threads, Input key, Output result);

}  // namespace hierseg

#endif  // HIERSEG_JAX_KERNELS_KERNELS_H_
