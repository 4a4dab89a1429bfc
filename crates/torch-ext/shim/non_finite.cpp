// Finds the operator that first makes a NaN or an infinity, by looking at what every operator reads and writes.
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/function_schema.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/aminmax.h>
#include <ATen/record_function.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include "guard.h"

namespace {

// How a finding is told to Rust; the numbers of its enums.
enum class Cause { kOperator = 0, kVariable = 1, kInput = 2 };
enum class Pass { kForward = 0, kRecomputation = 1, kBackward = 2 };

// From harmless to hopeless. What is only as bad as what it was made from is not the origin.
enum class Badness { kFinite, kInfinite, kNan };

struct Values {
  Badness badness = Badness::kFinite;
  // The worst value.
  double value = 0;

  void take_worse(const Values& other) {
    if (other.badness > badness) *this = other;
  }
};

Values values_of(double x) {
  if (std::isnan(x)) return {Badness::kNan, x};
  return {std::isinf(x) ? Badness::kInfinite : Badness::kFinite, x};
}

bool can_be_looked_at(const at::Tensor& t) {
  if (!t.defined() || t.layout() != c10::kStrided || t.is_meta() || t.numel() == 0) return false;
  const auto type = t.scalar_type();
  return type == at::kFloat || type == at::kDouble || type == at::kHalf || type == at::kBFloat16;
}

// Least and greatest value tell all: both hand a NaN on. One pass and no memory to speak of.
Values values_of(const at::Tensor& t) {
  if (!can_be_looked_at(t)) return {};
  const auto [least, greatest] = at::aminmax(t.detach());
  const double low = least.item<double>(), high = greatest.item<double>();
  auto worst = values_of(low);
  worst.take_worse(values_of(high));
  return worst;
}

template <class F>
void for_each_tensor(const c10::IValue& value, F f) {
  if (value.isTensor()) return f(value.toTensor());
  if (value.isTensorList())
    for (const at::Tensor& t : value.toTensorList()) f(t);
  else if (value.isOptionalTensorList())
    for (const std::optional<at::Tensor>& t : value.toOptionalTensorList())
      if (t) f(*t);
}

// What an operator or a node of the backward pass leaves from its start to its end.
struct Started : at::ObserverContext {
  Values read;
  std::string outer_node;
  int outer_depth = 0;
};

// Inside which node of the backward pass this thread is; empty in the forward pass.
thread_local std::string current_node;
// Inside how many operators.
thread_local int operator_depth = 0;

struct Finding {
  Cause cause;
  Pass pass;
  std::string op, node, near;
  double value;
};

// Of the kinds of thread-local information only those for tests are not libtorch's own.
constexpr auto kWatch = c10::DebugInfoKind::TEST_INFO;

// libtorch hands this and the callbacks on to the threads in which a backward pass runs on a device.
struct Watch : c10::DebugInfoBase {
  std::mutex mutex;
  // Name of each variable by the address of its storage, so that views of it are known too.
  std::unordered_map<const void*, std::string> names;
  std::string near;
  // The variable used last when a node of the graph was made, by thread and sequence number.
  std::map<std::pair<uint64_t, int64_t>, std::string> near_node;
  // Storages written under watch. Kept weakly: their memory is freed, their address not used again.
  std::unordered_map<c10::StorageImpl*, c10::weak_intrusive_ptr<c10::StorageImpl>> made_here;
  std::optional<Finding> finding;
  std::string failure;

  void found(Cause cause, const at::RecordFunction& fn, double value, std::string near) {
    if (finding) return;
    const bool recomputed = current_node.find("Checkpoint") != std::string::npos;
    const auto pass = current_node.empty() ? Pass::kForward : recomputed ? Pass::kRecomputation : Pass::kBackward;
    finding = Finding{cause, pass, fn.name(), current_node, std::move(near), value};
  }

  const std::string* name_of(const at::Tensor& t) const {
    if (!t.defined() || !t.has_storage() || t.numel() == 0) return nullptr;
    const auto found = names.find(t.storage().data());
    return found == names.end() ? nullptr : &found->second;
  }

  // A tensor that an operator is about to read.
  Values read(const at::RecordFunction& fn, const at::Tensor& t, bool is_written, int depth) {
    const auto values = values_of(t);
    if (values.badness == Badness::kFinite || is_written) return values;
    const auto* name = name_of(t);
    if (name != nullptr) {
      found(Cause::kVariable, fn, values.value, *name);
      return values;
    }
    // Within an operator there are tensors that it made unseen. Minus infinity from elsewhere is a mask.
    const bool is_mask = values.value == -std::numeric_limits<double>::infinity();
    if (depth == 0 && !is_mask && made_here.count(t.storage().unsafeGetStorageImpl()) == 0)
      found(Cause::kInput, fn, values.value, near);
    return values;
  }

  void wrote(const at::RecordFunction& fn, const at::Tensor& t, const Values& read, bool is_judged) {
    if (!t.defined() || !t.has_storage()) return;
    auto* storage = t.storage().unsafeGetStorageImpl();
    if (made_here.count(storage) == 0) made_here.emplace(storage, t.storage().getWeakStorageImpl());
    if (!is_judged) return;
    const auto values = values_of(t);
    if (values.badness > read.badness) found(Cause::kOperator, fn, values.value, near);
  }
};

bool contains(const char* name, const char* part) { return std::string(name).find(part) != std::string::npos; }

// Memory that nobody has written yet holds anything.
bool leaves_uninitialised(const char* name) { return contains(name, "empty") || contains(name, "resize"); }

// Beside its result attention returns what its backward pass needs, padded with infinity in some kernels.
bool only_first_output_counts(const char* name) {
  return contains(name, "attention") && !contains(name, "backward");
}

constexpr char kEvaluate[] = "autograd::engine::evaluate_function: ";

// Runs f under the watch's lock, out of sight of every observer; a failure of f is kept for the end.
template <class F>
void with_watch(F f) {
  auto* watch = static_cast<Watch*>(c10::ThreadLocalDebugInfo::get(kWatch));
  if (watch == nullptr) return;
  at::RecordFunctionGuard unobserved(/*is_enabled=*/false);
  at::NoGradGuard no_grad;
  std::lock_guard<std::mutex> lock(watch->mutex);
  try {
    f(*watch);
  } catch (const std::exception& e) {
    if (watch->failure.empty()) watch->failure = e.what();
  }
}

void start_node(const at::RecordFunction& fn, Started& started) {
  std::string name = fn.name();
  if (name.rfind(kEvaluate, 0) == 0) name = name.substr(sizeof(kEvaluate) - 1);
  started.outer_node = std::exchange(current_node, name);
  // What a node calls is an outermost operator again, also within a part that is recomputed.
  started.outer_depth = std::exchange(operator_depth, 0);
  with_watch([&](Watch& watch) {
    const auto found = watch.near_node.find({fn.forwardThreadId(), fn.seqNr()});
    if (found != watch.near_node.end()) watch.near = found->second;
  });
}

bool is_node(const at::RecordFunction& fn) {
  return fn.scope() == at::RecordScope::BACKWARD_FUNCTION || std::string(fn.name()).rfind(kEvaluate, 0) == 0;
}

void start_operator(const at::RecordFunction& fn, Started& started) {
  const int depth = started.outer_depth = operator_depth++;
  with_watch([&](Watch& watch) {
    if (watch.finding) return;
    const auto schema = fn.operator_schema();
    const auto inputs = fn.inputs();
    for (const auto& input : inputs)
      for_each_tensor(input, [&](const at::Tensor& t) {
        if (const auto* name = watch.name_of(t)) watch.near = *name;
      });
    for (size_t i = 0; i < inputs.size(); i++) {
      const auto* argument = schema && i < schema->arguments().size() ? &schema->arguments()[i] : nullptr;
      const bool is_written = argument != nullptr && argument->alias_info() && argument->alias_info()->isWrite();
      // What is only overwritten may hold anything.
      if (is_written && (argument->is_out() || std::string(fn.name()) == "aten::copy_")) continue;
      // A number counts as read too: who fills in minus infinity was told to.
      if (inputs[i].isDouble()) started.read.take_worse(values_of(inputs[i].toDouble()));
      for_each_tensor(inputs[i], [&](const at::Tensor& t) {
        started.read.take_worse(watch.read(fn, t, is_written, depth));
      });
    }
    if (fn.seqNr() >= 0) watch.near_node[{at::RecordFunction::currentThreadId(), fn.seqNr()}] = watch.near;
  });
}

std::unique_ptr<at::ObserverContext> on_start(const at::RecordFunction& fn) {
  auto started = std::make_unique<Started>();
  is_node(fn) ? start_node(fn, *started) : start_operator(fn, *started);
  return started;
}

void on_end(const at::RecordFunction& fn, at::ObserverContext* context) {
  auto& started = *static_cast<Started*>(context);
  operator_depth = started.outer_depth;
  if (is_node(fn)) {
    current_node = started.outer_node;
    return;
  }
  with_watch([&](Watch& watch) {
    if (watch.finding) return;
    bool is_judged = !leaves_uninitialised(fn.name());
    for (const auto& output : fn.outputs()) {
      for_each_tensor(output, [&](const at::Tensor& t) { watch.wrote(fn, t, started.read, is_judged); });
      if (only_first_output_counts(fn.name())) is_judged = false;
    }
  });
}

at::RecordFunctionCallback callbacks() {
  at::RecordFunctionCallback both(on_start, on_end);
  both.needsInputs(true).needsOutputs(true);
  both.scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION});
  return both;
}

// A watch and what makes libtorch call it. Begun and ended by one thread, like a scope.
struct Watching {
  std::shared_ptr<Watch> watch;
  c10::DebugInfoGuard guard;
  at::CallbackHandle callback;

  explicit Watching(std::shared_ptr<Watch> w)
      : watch(w), guard(kWatch, w), callback(at::addThreadLocalCallback(callbacks())) {}
  ~Watching() { at::removeCallback(callback); }
};

}  // namespace

extern "C" {

// Begins to watch this thread. variables and their names: n each.
int lv_watch_begin(at::Tensor* const* variables, const char* const* names, int n, Watching** output) {
  return guard([&] {
    auto watch = std::make_shared<Watch>();
    for (int i = 0; i < n; i++)
      if (variables[i]->has_storage() && variables[i]->numel() > 0)
        watch->names.emplace(variables[i]->storage().data(), names[i]);
    *output = new Watching(std::move(watch));
  });
}

// Whether something was found; then cause and pass, the value, and three strings that live as long as the watch.
// Fails when the watch itself failed before it found anything.
int lv_watch_finding(Watching* watching, int* is_found, int codes[2], double* value, const char* texts[3]) {
  return guard([&] {
    auto& watch = *watching->watch;
    std::lock_guard<std::mutex> lock(watch.mutex);
    *is_found = watch.finding ? 1 : 0;
    if (!watch.finding) {
      if (!watch.failure.empty()) throw std::runtime_error(watch.failure);
      return;
    }
    codes[0] = static_cast<int>(watch.finding->cause);
    codes[1] = static_cast<int>(watch.finding->pass);
    *value = watch.finding->value;
    texts[0] = watch.finding->op.c_str();
    texts[1] = watch.finding->node.c_str();
    texts[2] = watch.finding->near.c_str();
  });
}

void lv_watch_end(Watching* watching) { delete watching; }
}
