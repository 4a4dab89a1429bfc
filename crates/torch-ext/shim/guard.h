// Every extern "C" entry of the shim runs inside guard(): no C++ exception crosses into Rust.
#pragma once
#include <exception>
#include <string>

// The message of this thread's last failure; read by lv_last_error().
inline thread_local std::string lv_error;

// Runs f; 0 when it returned, 1 when it threw.
template <class F>
int guard(F f) {
  try {
    f();
    return 0;
  } catch (const std::exception& e) {
    lv_error = e.what();
  } catch (...) {
    lv_error = "an exception that is not a std::exception";
  }
  return 1;
}
