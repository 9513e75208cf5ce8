// The kernels as custom calls of XLA, through its C interface: its C++ interface alone takes as
// long to compile as all of this.
//
// What is short is compiled with this file. The others arrive later: XLA compiles programs that
// call them while they are compiled themselves, and the first call waits for them.

#include <tuple>
#include <type_traits>

// Headers take longer to compile than these files do.
#include "many_arrays.cc"
#include "random_bits.cc"
#include "xla/ffi/api/c_api.h"

using hierseg::Array, hierseg::Arrays, hierseg::Input, hierseg::Output, hierseg::Threads;

namespace {

template <typename Struct>
Struct Sized(size_t size) {
  Struct made = {};
  made.struct_size = size;
  return made;
}

// A call, and which of its arrays and attributes are taken already.
struct Call {
  const XLA_FFI_CallFrame* frame;
  const char* const* names;
  int64_t arguments = 0, results = 0;

  static Array Of(void* buffer) {
    const auto* given = static_cast<const XLA_FFI_Buffer*>(buffer);
    return {given->data, {given->dims, given->dims + given->rank}};
  }
  Array NextArgument() { return Of(frame->args.args[arguments++]); }
  Array NextResult() { return Of(frame->rets.rets[results++]); }
  template <typename Value>
  Value NextAttribute() {
    const std::string name = *names++;
    for (int64_t i = 0; i < frame->attrs.size; ++i)
      if (name == std::string(frame->attrs.names[i]->ptr, frame->attrs.names[i]->len))
        return *static_cast<const Value*>(
            static_cast<const XLA_FFI_Scalar*>(frame->attrs.attrs[i])->value);
    return {};
  }
};

// What a kernel's parameter is given, kept while the kernel runs.
template <typename Parameter>
struct Given {
  explicit Given(Call& call) : value(call.NextAttribute<Parameter>()) {}
  Parameter Get() const { return value; }
  Parameter value;
};
template <>
struct Given<Input> {
  explicit Given(Call& call) : array(call.NextArgument()) {}
  Input Get() const { return array; }
  Array array;
};
template <>
struct Given<Output> {
  explicit Given(Call& call) : array(call.NextResult()) {}
  Output Get() const { return &array; }
  Array array;
};
template <>
struct Given<Arrays> {  // All arguments that are left, then all results.
  explicit Given(Call& call) {
    while (call.arguments < call.frame->args.size) arrays.push_back(call.NextArgument());
    while (call.results < call.frame->rets.size) arrays.push_back(call.NextResult());
  }
  Arrays Get() const { return arrays; }
  std::vector<Array> arrays;
};

Threads ThreadsOf(const XLA_FFI_CallFrame* frame) {
  const XLA_FFI_Api* api = frame->api;
  auto* context = frame->ctx;
  const auto worked = [api](XLA_FFI_Error* error) {
    if (error == nullptr) return true;
    auto destroy = Sized<XLA_FFI_Error_Destroy_Args>(XLA_FFI_Error_Destroy_Args_STRUCT_SIZE);
    destroy.error = error;
    api->XLA_FFI_Error_Destroy(&destroy);
    return false;
  };
  int64_t count = 1;
  auto ask = Sized<XLA_FFI_ThreadPool_NumThreads_Args>(
      XLA_FFI_ThreadPool_NumThreads_Args_STRUCT_SIZE);
  ask.ctx = context;
  ask.num_threads = &count;
  if (!worked(api->XLA_FFI_ThreadPool_NumThreads(&ask))) count = 1;
  return {count, [api, context, worked](std::function<void()> task) {
            auto give = Sized<XLA_FFI_ThreadPool_Schedule_Args>(
                XLA_FFI_ThreadPool_Schedule_Args_STRUCT_SIZE);
            give.ctx = context;
            give.data = new std::function<void()>(std::move(task));
            give.task = [](void* data) {
              auto* task = static_cast<std::function<void()>*>(data);
              (*task)();
              delete task;
            };
            // What nobody else takes, the caller does itself.
            if (!worked(api->XLA_FFI_ThreadPool_Schedule(&give)))
              delete static_cast<std::function<void()>*>(give.data);
          }};
}

// XLA asks every custom call for its version before it is called.
bool AnswerQuestion(XLA_FFI_CallFrame* frame) {
  auto* extension = frame->extension_start;  // its type has another name since jax 0.11
  if (extension == nullptr || extension->type != XLA_FFI_Extension_Metadata) return false;
  auto* metadata = reinterpret_cast<XLA_FFI_Metadata_Extension*>(extension)->metadata;
  metadata->api_version.major_version = XLA_FFI_API_MAJOR;
  metadata->api_version.minor_version = XLA_FFI_API_MINOR;
  metadata->traits = 0;
  metadata->state_type_id = XLA_FFI_UNKNOWN_TYPE_ID;
  return true;
}

template <typename... Parameters>
void Run(const XLA_FFI_CallFrame* frame, void (*kernel)(const Threads&, Parameters...),
         std::initializer_list<const char*> names) {
  Call call{frame, names.begin()};
  // In braces they are made one after the other.
  const std::tuple<Given<Parameters>...> all{Given<Parameters>(call)...};
  const Threads threads = ThreadsOf(frame);
  std::apply([&](const auto&... given) { kernel(threads, given.Get()...); }, all);
}

// A kernel that is compiled on its own.
template <typename Kernel>
struct Arrival {
  std::mutex mutex;
  std::condition_variable arrived;
  bool over = false;
  Kernel* kernel = nullptr;
  std::string failure;

  void Arrive(void* address, const char* why_not) {
    std::lock_guard<std::mutex> lock(mutex);
    if (kernel != nullptr) return;  // from another thread that compiled it; it may be running
    over = true;
    kernel = reinterpret_cast<Kernel*>(address);
    failure = why_not;
    arrived.notify_all();
  }

  // Null, or why it will not come.
  XLA_FFI_Error* Wait(const XLA_FFI_Api* api) {
    std::unique_lock<std::mutex> lock(mutex);
    arrived.wait(lock, [&] { return over; });
    if (kernel != nullptr) return nullptr;
    auto create = Sized<XLA_FFI_Error_Create_Args>(XLA_FFI_Error_Create_Args_STRUCT_SIZE);
    create.message = failure.c_str();
    create.errc = XLA_FFI_Error_Code_FAILED_PRECONDITION;
    return api->XLA_FFI_Error_Create(&create);
  }
};

}  // namespace

#define KERNEL(symbol, kernel, ...)                                          \
  extern "C" XLA_FFI_Error* symbol(XLA_FFI_CallFrame* frame) {               \
    if (!AnswerQuestion(frame)) Run(frame, hierseg::kernel, {__VA_ARGS__});  \
    return nullptr;                                                          \
  }

#define LATER(symbol, name, ...)                                             \
  static Arrival<decltype(hierseg::name)> symbol##_arrival;                  \
  extern "C" void symbol##_arrive(void* address, const char* failure) {      \
    symbol##_arrival.Arrive(address, failure);                               \
  }                                                                          \
  extern "C" XLA_FFI_Error* symbol(XLA_FFI_CallFrame* frame) {               \
    if (AnswerQuestion(frame)) return nullptr;                               \
    if (XLA_FFI_Error* error = symbol##_arrival.Wait(frame->api)) return error; \
    Run(frame, symbol##_arrival.kernel, {__VA_ARGS__});                      \
    return nullptr;                                                          \
  }

#define GEOMETRY "stride", "dilation_h", "dilation_w", "pad_h", "pad_w"

LATER(hierseg_convolve, Convolve, GEOMETRY, "transposed", "turned", "relu")
LATER(hierseg_kernel_gradient, KernelGradient, GEOMETRY)
LATER(hierseg_rectify_gradient, RectifyGradient)
LATER(hierseg_depthwise, Depthwise, GEOMETRY, "transposed")
LATER(hierseg_depthwise_gradient, DepthwiseGradient, GEOMETRY)
LATER(hierseg_moments, Moments)
LATER(hierseg_average_moments, AverageMoments, "past", "present", "present_variance")
LATER(hierseg_normalize, Normalize, "activation", "epsilon")
LATER(hierseg_normalize_sums, NormalizeSums, "activation", "epsilon")
LATER(hierseg_normalize_gradient, NormalizeGradient, "activation", "epsilon", "count")
LATER(hierseg_squeeze_excite, SqueezeExcite)
LATER(hierseg_squeeze_excite_gradient, SqueezeExciteGradient)
KERNEL(hierseg_join, Join)
KERNEL(hierseg_split, Split)
KERNEL(hierseg_combine, Combine)
KERNEL(hierseg_fold_in, FoldIn)
KERNEL(hierseg_random_bits, RandomBits)
