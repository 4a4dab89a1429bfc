// Activation checkpointing as an autograd node, and libtorch's fused AdamW.
#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "autocast.h"
#include "guard.h"

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// Rust's closure. Takes ownership of each input handle and writes one new output handle; 0 when it succeeded, else it
// has left its message with lv_set_last_error.
typedef int (*RunFn)(void* closure, at::Tensor* const* inputs, int num_inputs, at::Tensor** output);
typedef void (*DropFn)(void* closure);

at::Tensor generator_state(c10::Device device) {
  auto generator = at::globalContext().defaultGenerator(device);
  std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

void set_generator_state(c10::Device device, const at::Tensor& state) {
  auto generator = at::globalContext().defaultGenerator(device);
  std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
}

// The checkpointed part of the network, and the random state and the precision it started from.
struct Segment : torch::CustomClassHolder {
  RunFn run;
  DropFn drop;
  void* closure;
  c10::Device device{c10::kCPU};
  at::Tensor cpu_state, device_state;
  std::vector<AutocastState> precision;

  Segment(RunFn run, DropFn drop, void* closure) : run(run), drop(drop), closure(closure) {}
  ~Segment() override { drop(closure); }

  at::Tensor operator()(const variable_list& inputs) const {
    std::vector<at::Tensor*> handles;
    for (const auto& input : inputs) handles.push_back(new at::Tensor(input));
    at::Tensor* output = nullptr;
    if (run(closure, handles.data(), static_cast<int>(handles.size()), &output) != 0 || output == nullptr)
      throw std::runtime_error(lv_error);
    at::Tensor result = *output;
    delete output;
    return result;
  }

  void remember_state(c10::Device on) {
    device = on;
    cpu_state = generator_state(c10::kCPU);
    precision = {AutocastState::now(c10::kCPU)};
    if (device.is_cpu()) return;
    device_state = generator_state(device);
    precision.push_back(AutocastState::now(device.type()));
  }
};

// Replays the forward's random numbers while alive, then puts the streams back where they were.
struct ReplayRandomState {
  const Segment& segment;
  at::Tensor cpu_now, device_now;

  explicit ReplayRandomState(const Segment& s) : segment(s), cpu_now(generator_state(c10::kCPU)) {
    set_generator_state(c10::kCPU, s.cpu_state);
    if (s.device.is_cpu()) return;
    device_now = generator_state(s.device);
    set_generator_state(s.device, s.device_state);
  }
  ~ReplayRandomState() {
    set_generator_state(c10::kCPU, cpu_now);
    if (!segment.device.is_cpu()) set_generator_state(segment.device, device_now);
  }
};

// Computes in the precision that the forward stood in while alive.
class PrecisionOf {
  std::vector<std::unique_ptr<AutocastScope>> scopes;

 public:
  explicit PrecisionOf(const Segment& segment) {
    for (const auto& state : segment.precision) scopes.push_back(std::make_unique<AutocastScope>(state));
  }
  // Scopes end in the opposite order.
  ~PrecisionOf() {
    while (!scopes.empty()) scopes.pop_back();
  }
};

struct Checkpoint : torch::autograd::Function<Checkpoint> {
  // The inputs come as a TensorList: autograd does not look inside a std::vector and would cut the graph.
  static at::Tensor forward(AutogradContext* ctx, at::TensorList inputs, c10::intrusive_ptr<Segment> segment) {
    variable_list saved = inputs.vec();
    ctx->saved_data["segment"] = c10::IValue::make_capsule(segment);
    ctx->save_for_backward(saved);
    segment->remember_state(saved.at(0).device());
    PrecisionOf precision(*segment);
    at::AutoGradMode no_grad(false);
    return (*segment)(saved);
  }

  static variable_list backward(AutogradContext* ctx, variable_list output_grads) {
    auto segment = c10::static_intrusive_pointer_cast<Segment>(ctx->saved_data["segment"].toCapsule());
    variable_list leaves;
    for (const auto& saved : ctx->get_saved_variables()) {
      auto leaf = saved.detach();
      leaf.set_requires_grad(saved.requires_grad());
      leaves.push_back(leaf);
    }
    at::Tensor output;
    {
      ReplayRandomState replay(*segment);
      PrecisionOf precision(*segment);
      at::AutoGradMode grad(true);
      output = (*segment)(leaves);
    }
    // A backward inside the backward: parameters that the closure captured get their gradients here.
    torch::autograd::backward({output}, {output_grads[0]});
    variable_list grads;
    for (const auto& leaf : leaves) grads.push_back(leaf.requires_grad() ? leaf.grad() : at::Tensor());
    grads.emplace_back();  // the segment itself
    return grads;
  }
};

std::vector<at::Tensor> tensors(at::Tensor* const* handles, int n) {
  std::vector<at::Tensor> out;
  out.reserve(n);
  for (int i = 0; i < n; i++) out.push_back(*handles[i]);
  return out;
}

}  // namespace

extern "C" {

int lv_checkpoint(RunFn run, DropFn drop, void* closure, at::Tensor* const* inputs, int num_inputs,
                  at::Tensor** output) {
  return guard([&] {
    auto segment = c10::make_intrusive<Segment>(run, drop, closure);
    auto list = tensors(inputs, num_inputs);
    *output = new at::Tensor(Checkpoint::apply(at::TensorList(list), segment));
  });
}

// params, grads, exp_avgs, exp_avg_sqs and steps: n handles each.
int lv_fused_adamw(at::Tensor* const* params, at::Tensor* const* grads, at::Tensor* const* exp_avgs,
                   at::Tensor* const* exp_avg_sqs, at::Tensor* const* steps, int n, double lr, double beta1,
                   double beta2, double weight_decay, double eps) {
  return guard([&] {
    at::NoGradGuard no_grad;
    auto s = tensors(steps, n);
    for (auto& step : s) step.add_(1);
    at::_fused_adamw_(tensors(params, n), tensors(grads, n), tensors(exp_avgs, n), tensors(exp_avg_sqs, n), {}, s, lr,
                      beta1, beta2, weight_decay, eps, /*amsgrad=*/false, /*maximize=*/false);
  });
}

// The L2 norm over all tensors together, as a scalar tensor on their device.
int lv_drop_gradients(at::Tensor* const* list, int n) {
  return guard([&] {
    for (int i = 0; i < n; ++i) list[i]->mutable_grad() = at::Tensor();
  });
}

int lv_total_norm(at::Tensor* const* list, int n, at::Tensor** output) {
  return guard([&] {
    at::NoGradGuard no_grad;
    *output = new at::Tensor(at::stack(at::_foreach_norm(tensors(list, n))).norm());
  });
}
}
