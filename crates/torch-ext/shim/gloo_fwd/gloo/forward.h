// Just enough of gloo's names for torch/csrc/distributed/c10d/ProcessGroupGloo.hpp to parse: libtorch ships that header
// without gloo's own. Nothing declared here is ever instantiated by the shim, all of gloo lives inside libtorch_cpu.so;
// its classes are held by shared_ptr alone, so no layout depends on this file. A test looks
// into the object: it must not emit a virtual table of gloo's, which could take the place of libtorch's own.
#pragma once
#include <chrono>
#include <string>
#include <vector>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds);
};

namespace transport {
class Device;
class UnboundBuffer;
}  // namespace transport

namespace rendezvous {
class Store {
 public:
  virtual ~Store();
  virtual void set(const std::string&, const std::vector<char>&) = 0;
  virtual std::vector<char> get(const std::string&) = 0;
  virtual void wait(const std::vector<std::string>&) = 0;
  virtual void wait(const std::vector<std::string>&, const std::chrono::milliseconds&) = 0;
};
}  // namespace rendezvous

}  // namespace gloo
