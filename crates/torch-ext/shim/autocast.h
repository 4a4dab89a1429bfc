// How autocast stands in this thread, and a scope in which it stands otherwise.
#pragma once
#include <ATen/autocast_mode.h>

struct AutocastState {
  c10::DeviceType device;
  bool is_enabled;
  at::ScalarType type;

  static AutocastState now(c10::DeviceType device) {
    return {device, at::autocast::is_autocast_enabled(device), at::autocast::get_autocast_dtype(device)};
  }

  void set() const {
    at::autocast::set_autocast_dtype(device, type);
    at::autocast::set_autocast_enabled(device, is_enabled);
  }
};

// Sets a state while alive. Weights are cast anew at each use: a cast that is kept from a part without gradients would
// cut the graph of a part with them, and gradients of several uses would be added up in half precision.
class AutocastScope {
  AutocastState before;
  bool was_cached;

 public:
  explicit AutocastScope(const AutocastState& state)
      : before(AutocastState::now(state.device)), was_cached(at::autocast::is_autocast_cache_enabled()) {
    at::autocast::set_autocast_cache_enabled(false);
    state.set();
  }
  ~AutocastScope() {
    before.set();
    at::autocast::set_autocast_cache_enabled(was_cached);
  }
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;
};
