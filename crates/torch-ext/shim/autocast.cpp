// Mixed precision on any device, and whether the CPU has units for it.
#include "autocast.h"

#include <ATen/cpu/Utils.h>

#include "guard.h"

extern "C" {

// Until lv_autocast_end, in this thread: operators on devices of this type compute in bf16 where autocast thinks it
// safe, or in f32 like everywhere else.
int lv_autocast_begin(int device_type, int is_bf16, AutocastScope** output) {
  return guard([&] {
    const auto device = static_cast<c10::DeviceType>(device_type);
    *output = new AutocastScope({device, is_bf16 != 0, at::kBFloat16});
  });
}

void lv_autocast_end(AutocastScope* scope) { delete scope; }

// Whether operators on devices of this type compute in bf16 now.
int lv_autocast_is_bf16(int device_type, int* output) {
  return guard([&] {
    const auto state = AutocastState::now(static_cast<c10::DeviceType>(device_type));
    *output = state.is_enabled && state.type == at::kBFloat16;
  });
}

// Whether the CPU has one of the named features, in cpuinfo's words.
int lv_cpu_has(const char* feature, int* output) {
  return guard([&] {
    const auto known = at::cpu::get_cpu_capabilities();
    const auto found = known.find(feature);
    *output = found != known.end() && found->second.isBool() && found->second.toBool();
  });
}
}
