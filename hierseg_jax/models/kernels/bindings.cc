// The kernels as custom calls of XLA. This file alone needs XLA's headers, which are slow to
// compile, and nothing in it needs to be fast.

#include "kernels.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using Buffer = ffi::Buffer<ffi::F32>;
using Result = ffi::Result<Buffer>;

namespace {

hierseg::Array ToArray(const Buffer& buffer) {
  const auto sides = buffer.dimensions();
  return {buffer.typed_data(), {sides.begin(), sides.end()}};
}
hierseg::Array ToArray(Result& result) { return ToArray(*result); }

hierseg::Threads ToThreads(ffi::ThreadPool& pool) {
  return {pool.num_threads(),
          [&pool](std::function<void()> task) { pool.Schedule(std::move(task)); }};
}

ffi::Error Convolve(ffi::ThreadPool pool, Buffer a0, Buffer a1, Buffer a2, Result r0,
                    int64_t stride, int64_t dilation_h, int64_t dilation_w, int64_t pad_h,
                    int64_t pad_w, bool transposed, bool relu) {
  const hierseg::Array results[] = {ToArray(r0)};
  hierseg::Convolve(ToThreads(pool), ToArray(a0), ToArray(a1), ToArray(a2), &results[0], stride,
                    dilation_h, dilation_w, pad_h, pad_w, transposed, relu);
  return ffi::Error::Success();
}

ffi::Error KernelGradient(ffi::ThreadPool pool, Buffer a0, Buffer a1, Result r0, Result r1,
                          int64_t stride, int64_t dilation_h, int64_t dilation_w, int64_t pad_h,
                          int64_t pad_w) {
  const hierseg::Array results[] = {ToArray(r0), ToArray(r1)};
  hierseg::KernelGradient(ToThreads(pool), ToArray(a0), ToArray(a1), &results[0], &results[1],
                          stride, dilation_h, dilation_w, pad_h, pad_w);
  return ffi::Error::Success();
}

ffi::Error Depthwise(ffi::ThreadPool pool, Buffer a0, Buffer a1, Result r0, int64_t stride,
                     int64_t pad_h, int64_t pad_w, bool transposed) {
  const hierseg::Array results[] = {ToArray(r0)};
  hierseg::Depthwise(ToThreads(pool), ToArray(a0), ToArray(a1), &results[0], stride, pad_h, pad_w,
                     transposed);
  return ffi::Error::Success();
}

ffi::Error DepthwiseGradient(ffi::ThreadPool pool, Buffer a0, Buffer a1, Result r0, int64_t stride,
                             int64_t pad_h, int64_t pad_w) {
  const hierseg::Array results[] = {ToArray(r0)};
  hierseg::DepthwiseGradient(ToThreads(pool), ToArray(a0), ToArray(a1), &results[0], stride, pad_h,
                             pad_w);
  return ffi::Error::Success();
}

ffi::Error Moments(ffi::ThreadPool pool, Buffer a0, Result r0, Result r1) {
  const hierseg::Array results[] = {ToArray(r0), ToArray(r1)};
  hierseg::Moments(ToThreads(pool), ToArray(a0), &results[0], &results[1]);
  return ffi::Error::Success();
}

ffi::Error Normalize(ffi::ThreadPool pool, Buffer a0, Buffer a1, Buffer a2, Buffer a3, Buffer a4,
                     Buffer a5, Result r0, int64_t activation) {
  const hierseg::Array results[] = {ToArray(r0)};
  hierseg::Normalize(ToThreads(pool), ToArray(a0), ToArray(a1), ToArray(a2), ToArray(a3),
                     ToArray(a4), ToArray(a5), &results[0], activation);
  return ffi::Error::Success();
}

ffi::Error NormalizeSums(ffi::ThreadPool pool, Buffer a0, Buffer a1, Buffer a2, Buffer a3,
                         Buffer a4, Buffer a5, Buffer a6, Result r0, int64_t activation) {
  const hierseg::Array results[] = {ToArray(r0)};
  hierseg::NormalizeSums(ToThreads(pool), ToArray(a0), ToArray(a1), ToArray(a2), ToArray(a3),
                         ToArray(a4), ToArray(a5), ToArray(a6), &results[0], activation);
  return ffi::Error::Success();
}

ffi::Error NormalizeGradient(ffi::ThreadPool pool, Buffer a0, Buffer a1, Buffer a2, Buffer a3,
                             Buffer a4, Buffer a5, Buffer a6, Buffer a7, Result r0, Result r1,
                             int64_t activation) {
  const hierseg::Array results[] = {ToArray(r0), ToArray(r1)};
  hierseg::NormalizeGradient(ToThreads(pool), ToArray(a0), ToArray(a1), ToArray(a2), ToArray(a3),
                             ToArray(a4), ToArray(a5), ToArray(a6), ToArray(a7), &results[0],
                             &results[1], activation);
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(hierseg_convolve, Convolve,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Ret<Buffer>()
                                  .Attr<int64_t>("stride")
                                  .Attr<int64_t>("dilation_h")
                                  .Attr<int64_t>("dilation_w")
                                  .Attr<int64_t>("pad_h")
                                  .Attr<int64_t>("pad_w")
                                  .Attr<bool>("transposed")
                                  .Attr<bool>("relu"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(hierseg_kernel_gradient, KernelGradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Ret<Buffer>()
                                  .Ret<Buffer>()
                                  .Attr<int64_t>("stride")
                                  .Attr<int64_t>("dilation_h")
                                  .Attr<int64_t>("dilation_w")
                                  .Attr<int64_t>("pad_h")
                                  .Attr<int64_t>("pad_w"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(hierseg_depthwise, Depthwise,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Ret<Buffer>()
                                  .Attr<int64_t>("stride")
                                  .Attr<int64_t>("pad_h")
                                  .Attr<int64_t>("pad_w")
                                  .Attr<bool>("transposed"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(hierseg_depthwise_gradient, DepthwiseGradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Ret<Buffer>()
                                  .Attr<int64_t>("stride")
                                  .Attr<int64_t>("pad_h")
                                  .Attr<int64_t>("pad_w"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    hierseg_moments, Moments,
    ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Buffer>().Ret<Buffer>().Ret<Buffer>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(hierseg_normalize, Normalize,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Ret<Buffer>()
                                  .Attr<int64_t>("activation"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(hierseg_normalize_sums, NormalizeSums,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Ret<Buffer>()
                                  .Attr<int64_t>("activation"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(hierseg_normalize_gradient, NormalizeGradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Ret<Buffer>()
                                  .Ret<Buffer>()
                                  .Attr<int64_t>("activation"));
