// Key-value store and collectives of libtorch's own c10d: TCPStore and ProcessGroupGloo.
#define USE_C10D_GLOO 1
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "guard.h"

namespace {

using std::chrono::milliseconds;

// What the three kinds of handle point to.
using Store = c10::intrusive_ptr<c10d::Store>;
using Gloo = c10::intrusive_ptr<c10d::ProcessGroupGloo>;
using Work = c10::intrusive_ptr<c10d::Work>;

// c10d writes C++ stacks to stderr for what reaches the caller as an exception anyway.
void quiet_c10d() {
  constexpr int kFatal = 3;
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = kFatal;
}

}  // namespace

extern "C" {

// listen_fd: a bound socket that this process shall serve the store on, or -1 to be a client only. Keys get the prefix.
int lv_store_open(const char* host, uint16_t port, int listen_fd, const char* prefix, int64_t timeout_ms, Store** out) {
  return guard([&] {
    quiet_c10d();
    c10d::TCPStoreOptions options;
    options.port = port;
    options.waitWorkers = false;
    options.timeout = milliseconds(timeout_ms);
    if (listen_fd >= 0) {
      options.isServer = true;
      options.masterListenFd = listen_fd;
    }
    auto store = c10::make_intrusive<c10d::TCPStore>(std::string(host), options);
    *out = new Store(c10::make_intrusive<c10d::PrefixStore>(prefix, store));
  });
}

void lv_store_free(Store* store) { delete store; }

int lv_store_add(Store* store, const char* key, int64_t amount, int64_t* sum) {
  return guard([&] { *sum = (*store)->add(key, amount); });
}

int lv_store_set(Store* store, const char* key, const char* value) {
  return guard([&] { (*store)->set(key, std::string(value)); });
}

// Writes up to `size` bytes of the value; *length is its whole length, -1 where there is no such key.
int lv_store_get(Store* store, const char* key, char* buffer, int64_t size, int64_t* length) {
  return guard([&] {
    *length = -1;
    if (!(*store)->check({key})) return;
    const std::string value = (*store)->get_to_str(key);
    value.copy(buffer, static_cast<size_t>(size));
    *length = static_cast<int64_t>(value.size());
  });
}

// Connects to every other rank. address: one of this machine's own, by which the others reach it.
int lv_gloo_connect(Store* store, const char* address, int rank, int num_ranks, int64_t timeout_ms, Gloo** out) {
  return guard([&] {
    auto options = c10d::ProcessGroupGloo::Options::create(milliseconds(timeout_ms));
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(address));
    *out = new Gloo(c10::make_intrusive<c10d::ProcessGroupGloo>(*store, rank, num_ranks, options));
  });
}

// Closes all connections. Waits for every collective under way, also for one that can no longer end.
void lv_gloo_free(Gloo* gloo) { delete gloo; }

// Starts a collective on a contiguous CPU tensor, in place. The work keeps the tensor alive.
int lv_gloo_start(Gloo* gloo, int operation, at::Tensor* tensor, Work** out) {
  return guard([&] {
    std::vector<at::Tensor> list{*tensor};
    switch (operation) {
      case 0:
      case 1: {
        c10d::AllreduceOptions options;
        options.reduceOp = operation == 0 ? c10d::ReduceOp::SUM : c10d::ReduceOp::MAX;
        *out = new Work((*gloo)->allreduce(list, options));
        break;
      }
      default: {
        c10d::BroadcastOptions options;
        options.rootRank = 0;
        *out = new Work((*gloo)->broadcast(list, options));
      }
    }
  });
}

// Waits for up to slice_ms; *ended tells whether that was enough. A collective that failed throws.
int lv_work_wait(Work* work, int64_t slice_ms, int* ended) {
  return guard([&] {
    *ended = 1;
    try {
      (*work)->wait(milliseconds(slice_ms));
      return;
    } catch (const std::exception&) {
      if (!(*work)->isCompleted()) {
        *ended = 0;
        return;
      }
    }
    (*work)->wait();  // returns at once, or with the failure of the collective itself
  });
}

void lv_work_free(Work* work) { delete work; }
}
