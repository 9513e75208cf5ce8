// The kernels as custom calls of XLA. This file alone needs XLA's headers, which are slow to
// compile, and nothing in it needs to be fast.

#include "kernels.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using hierseg::Array, hierseg::Input, hierseg::Output, hierseg::Threads;
using Buffer = ffi::Buffer<ffi::F32>;
using Result = ffi::Result<Buffer>;

namespace {

// What XLA hands over for a kernel's parameter.
template <typename Parameter>
using Given = std::conditional_t<std::is_same_v<Parameter, Input>, Buffer,
                                 std::conditional_t<std::is_same_v<Parameter, Output>, Result,
                                                    Parameter>>;

// An array as either kind of parameter takes it.
struct Taken {
  Array array;
  operator Input() const { return array; }
  operator Output() const { return &array; }
};

Taken Take(Buffer buffer) {
  const auto sides = buffer.dimensions();
  return {{buffer.typed_data(), {sides.begin(), sides.end()}}};
}
Taken Take(Result result) { return Take(*result); }
int64_t Take(int64_t attribute) { return attribute; }
bool Take(bool attribute) { return attribute; }

// A kernel as a function of what XLA hands over.
template <typename... Parameters>
auto Call(void (*kernel)(const Threads&, Parameters...)) {
  return [kernel](ffi::ThreadPool pool, Given<Parameters>... given) {
    const Threads threads{pool.num_threads(), [&pool](std::function<void()> task) {
                            pool.Schedule(std::move(task));
                          }};
    kernel(threads, Take(given)...);
    return ffi::Error::Success();
  };
}

// A handler for a kernel with the first parameters bound, and the others; the attributes among
// them have the next names.
template <typename Binding, typename Function>
auto Bind(Binding binding, const char* const*, Function call) {
  return std::move(binding).To(call).release();
}
template <typename First, typename... Rest, typename Binding, typename Function>
auto Bind(Binding binding, const char* const* names, Function call) {
  if constexpr (std::is_same_v<First, Input>)
    return Bind<Rest...>(std::move(binding).template Arg<Buffer>(), names, call);
  else if constexpr (std::is_same_v<First, Output>)
    return Bind<Rest...>(std::move(binding).template Ret<Buffer>(), names, call);
  else
    return Bind<Rest...>(std::move(binding).template Attr<First>(*names), names + 1, call);
}

template <typename... Parameters>
auto MakeHandler(void (*kernel)(const Threads&, Parameters...),
                 std::initializer_list<const char*> names) {
  return Bind<Parameters...>(ffi::Ffi::Bind().Ctx<ffi::ThreadPool>(), names.begin(), Call(kernel));
}

}  // namespace

#define KERNEL(symbol, kernel, ...)                                     \
  extern "C" XLA_FFI_Error* symbol(XLA_FFI_CallFrame* frame) {          \
    static auto* handler = MakeHandler(hierseg::kernel, {__VA_ARGS__}); \
    return handler->Call(frame);                                        \
  }

#define GEOMETRY "stride", "dilation_h", "dilation_w", "pad_h", "pad_w"

KERNEL(hierseg_convolve, Convolve, GEOMETRY, "transposed", "relu")
KERNEL(hierseg_kernel_gradient, KernelGradient, GEOMETRY)
KERNEL(hierseg_depthwise, Depthwise, GEOMETRY, "transposed")
KERNEL(hierseg_depthwise_gradient, DepthwiseGradient, GEOMETRY)
KERNEL(hierseg_moments, Moments)
KERNEL(hierseg_normalize, Normalize, "activation")
KERNEL(hierseg_normalize_sums, NormalizeSums, "activation")
KERNEL(hierseg_normalize_gradient, NormalizeGradient, "activation")
