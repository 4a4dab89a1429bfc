// Exact accounting of CPU tensor bytes, and the statistics that device allocators keep themselves.
#include <atomic>
#include <cstdint>
#include <stdexcept>

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/version.h>

#include "guard.h"

namespace {

std::atomic<int64_t> current_bytes{0}, peak_bytes{0}, total_bytes{0}, num_allocs{0};
// Allocations that would take current_bytes past this fail as if the machine had no more.
std::atomic<int64_t> limit_bytes{INT64_MAX};

// The size stands in front of each payload; one alignment unit wide, so that the payload stays aligned.
constexpr size_t kHeader = c10::gAlignment;
static_assert(kHeader >= sizeof(int64_t));

void free_counted(void* payload) {
  if (payload == nullptr) return;
  char* base = static_cast<char*>(payload) - kHeader;
  current_bytes.fetch_sub(*reinterpret_cast<int64_t*>(base), std::memory_order_relaxed);
  c10::free_cpu(base);
}

struct CountingAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t n) override {
    const c10::Device cpu(c10::DeviceType::CPU);
    if (n == 0) return {nullptr, nullptr, &free_counted, cpu};
    const auto size = static_cast<int64_t>(n);
    const int64_t now = current_bytes.fetch_add(size, std::memory_order_relaxed) + size;
    char* base = nullptr;
    try {
      const int64_t limit = limit_bytes.load(std::memory_order_relaxed);
      TORCH_CHECK(now <= limit, "CPU out of memory: tried to allocate ", n, " bytes with ", now - size,
                  " in use and a limit of ", limit);
      base = static_cast<char*>(c10::alloc_cpu(n + kHeader));
    } catch (...) {
      current_bytes.fetch_sub(size, std::memory_order_relaxed);
      throw;
    }
    *reinterpret_cast<int64_t*>(base) = size;
    total_bytes.fetch_add(size, std::memory_order_relaxed);
    num_allocs.fetch_add(1, std::memory_order_relaxed);
    int64_t peak = peak_bytes.load(std::memory_order_relaxed);
    while (now > peak && !peak_bytes.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
    }
    return {base + kHeader, base + kHeader, &free_counted, cpu};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_counted; }
  void copy_data(void* to, const void* from, std::size_t n) const override { default_copy_data(to, from, n); }
};

CountingAllocator counting_allocator;

// c10::GetAllocator asserts when nothing is registered for the type; guard() turns that into a message.
c10::DeviceAllocator& device_allocator(int type) {
  auto* found = dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(static_cast<c10::DeviceType>(type)));
  if (found == nullptr || !found->initialized()) throw std::runtime_error("this device has no allocator statistics");
  return *found;
}

}  // namespace

extern "C" {

const char* lv_last_error() { return lv_error.c_str(); }

void lv_set_last_error(const char* message) { lv_error = message; }

const char* lv_torch_version() { return TORCH_VERSION; }

int lv_memory_install() {
  return guard([] {
    c10::SetCPUAllocator(&counting_allocator, /*priority=*/1);
    if (c10::GetCPUAllocator() != &counting_allocator) throw std::runtime_error("another CPU allocator has priority");
  });
}

void lv_memory_stats(int64_t out[4]) {
  out[0] = current_bytes;
  out[1] = peak_bytes;
  out[2] = total_bytes;
  out[3] = num_allocs;
}

void lv_memory_reset_peak() { peak_bytes.store(current_bytes.load()); }

void lv_memory_set_limit(int64_t bytes) { limit_bytes.store(bytes); }

int lv_device_stats(int type, int index, int64_t out[6]) {
  return guard([&] {
    const auto s = device_allocator(type).getDeviceStats(static_cast<c10::DeviceIndex>(index));
    // Element 0 of each is the sum over the small and large pools.
    out[0] = s.allocated_bytes[0].current;
    out[1] = s.allocated_bytes[0].peak;
    out[2] = s.reserved_bytes[0].current;
    out[3] = s.reserved_bytes[0].peak;
    out[4] = s.num_alloc_retries;
    out[5] = s.num_ooms;
  });
}

int lv_device_reset_peak(int type, int index) {
  return guard([&] { device_allocator(type).resetPeakStats(static_cast<c10::DeviceIndex>(index)); });
}

int lv_device_memory_info(int type, int index, int64_t out[2]) {
  return guard([&] {
    const auto info = device_allocator(type).getMemoryInfo(static_cast<c10::DeviceIndex>(index));
    out[0] = static_cast<int64_t>(info.first);
    out[1] = static_cast<int64_t>(info.second);
  });
}
}
