// The kernels as custom calls of XLA, through its C interface: its C++ interface alone takes as
// long to compile as all of this.
//
// What is short is compiled with this file. The others arrive later: XLA compiles programs that
// call them while they are compiled themselves, and the first call waits for them.

#include <atomic>
#include <condition_variable>
#include <initializer_list>
#include <mutex>
#include <string>
#include <utility>

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
    return {given->data, given->dims, given->rank};
  }
  Array NextArgument() { return Of(frame->args.args[arguments++]); }
  Array NextResult() { return Of(frame->rets.rets[results++]); }
  const void* AttributeNamed(const char* name) const {
    const size_t length = std::strlen(name);
    for (int64_t i = 0; i < frame->attrs.size; ++i) {
      const XLA_FFI_ByteSpan& found = *frame->attrs.names[i];
      if (found.len == length && std::memcmp(name, found.ptr, length) == 0)
        return static_cast<const XLA_FFI_Scalar*>(frame->attrs.attrs[i])->value;
    }
    static const int64_t zero = 0;
    return &zero;
  }
  template <typename Value>
  Value NextAttribute() {
    return *static_cast<const Value*>(AttributeNamed(*names++));
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

// Whether there was no error.
bool Worked(const XLA_FFI_Api* api, XLA_FFI_Error* error) {
  if (error == nullptr) return true;
  auto destroy = Sized<XLA_FFI_Error_Destroy_Args>(XLA_FFI_Error_Destroy_Args_STRUCT_SIZE);
  destroy.error = error;
  api->XLA_FFI_Error_Destroy(&destroy);
  return false;
}

// A loop whose passes are shared by several threads.
struct Loop {
  void (*work)(const void* what, int64_t i);
  const void* what;
  int64_t count;
  std::atomic<int64_t> next{0}, done{0}, holders;
  std::mutex mutex;
  std::condition_variable all_done;

  void Help() {
    for (int64_t i = next++; i < count; i = next++) {
      work(what, i);
      if (++done == count) {
        std::lock_guard<std::mutex> lock(mutex);
        all_done.notify_all();
      }
    }
  }
  // The last one who knows of the loop deletes it.
  void Release() {
    if (--holders == 0) delete this;
  }
};

// XLA's threads.
struct Pool : Threads {
  const XLA_FFI_CallFrame* frame;

  explicit Pool(const XLA_FFI_CallFrame* given) : Threads{RunLoop}, frame(given) {}

  int64_t Count() const {
    int64_t count = 1;
    auto ask = Sized<XLA_FFI_ThreadPool_NumThreads_Args>(
        XLA_FFI_ThreadPool_NumThreads_Args_STRUCT_SIZE);
    ask.ctx = frame->ctx;
    ask.num_threads = &count;
    return Worked(frame->api, frame->api->XLA_FFI_ThreadPool_NumThreads(&ask)) ? count : 1;
  }

  bool Schedule(Loop* loop) const {
    auto give = Sized<XLA_FFI_ThreadPool_Schedule_Args>(
        XLA_FFI_ThreadPool_Schedule_Args_STRUCT_SIZE);
    give.ctx = frame->ctx;
    give.data = loop;
    give.task = [](void* data) {
      static_cast<Loop*>(data)->Help();
      static_cast<Loop*>(data)->Release();
    };
    return Worked(frame->api, frame->api->XLA_FFI_ThreadPool_Schedule(&give));
  }

  // The caller never waits for work that nobody has begun, so a pool without a free thread can't
  // block it; what nobody else takes, it does itself.
  static void RunLoop(const Threads& threads, int64_t count,
                      void (*work)(const void* what, int64_t i), const void* what) {
    const Pool& pool = static_cast<const Pool&>(threads);
    const int64_t helpers = std::max<int64_t>(std::min(pool.Count(), count) - 1, 0);
    auto* loop = new Loop{work, what, count};
    loop->holders = 1 + helpers;
    for (int64_t i = 0; i < helpers; ++i)
      if (!pool.Schedule(loop)) loop->Release();
    loop->Help();
    {
      std::unique_lock<std::mutex> lock(loop->mutex);
      loop->all_done.wait(lock, [&] { return loop->done == count; });
    }
    loop->Release();
  }
};

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

// What all of a kernel's parameters are given; std::tuple takes long to compile.
template <size_t kIndex, typename Parameter>
struct Place {
  Given<Parameter> given;
};
template <typename Indices, typename... Parameters>
struct Places;
template <size_t... kIndices, typename... Parameters>
struct Places<std::index_sequence<kIndices...>, Parameters...>
    : Place<kIndices, Parameters>... {
  // They are made one after the other.
  explicit Places(Call& call) : Place<kIndices, Parameters>{Given<Parameters>(call)}... {}
  void Run(void (*kernel)(const Threads&, Parameters...), const Threads& threads) const {
    kernel(threads, Place<kIndices, Parameters>::given.Get()...);
  }
};

template <typename... Parameters>
void Run(const XLA_FFI_CallFrame* frame, void (*kernel)(const Threads&, Parameters...),
         std::initializer_list<const char*> names) {
  Call call{frame, names.begin()};
  const Places<std::index_sequence_for<Parameters...>, Parameters...> places(call);
  places.Run(kernel, Pool(frame));
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
#define FINISH "activation", "epsilon"

LATER(hierseg_convolve, Convolve, GEOMETRY, "transposed", "turned", FINISH)
LATER(hierseg_kernel_gradient, KernelGradient, GEOMETRY)
LATER(hierseg_rectify_gradient, RectifyGradient)
LATER(hierseg_depthwise, Depthwise, GEOMETRY, "transposed", FINISH)
LATER(hierseg_depthwise_gradient, DepthwiseGradient, GEOMETRY)
LATER(hierseg_moments, Moments)
LATER(hierseg_average_moments, AverageMoments, "past", "present", "present_variance")
LATER(hierseg_normalize, Normalize, FINISH)
LATER(hierseg_normalize_sums, NormalizeSums, FINISH)
LATER(hierseg_normalize_gradient, NormalizeGradient, FINISH, "count")
LATER(hierseg_squeeze_excite, SqueezeExcite)
LATER(hierseg_squeeze_excite_gradient, SqueezeExciteGradient)
LATER(hierseg_label_counts, LabelCounts)
LATER(hierseg_soft_counts, SoftCounts)
LATER(hierseg_soft_counts_gradient, SoftCountsGradient)
LATER(hierseg_error_bins, ErrorBins)
LATER(hierseg_error_bins_gradient, ErrorBinsGradient)
KERNEL(hierseg_join, Join)
KERNEL(hierseg_split, Split)
KERNEL(hierseg_combine, Combine)
KERNEL(hierseg_fold_in, FoldIn)
KERNEL(hierseg_random_bits, RandomBits)
