// What was chosen for this machine from what it gives and what the operator wants: lanes, memory,
// backend. The server starts by it, --print-config shows it, `lance doctor` judges it.
#pragma once

#include <string>

#include "config/config.hpp"
#include "runtime/machine.hpp"
#include "runtime/placement.hpp"
#include "runtime/uring.hpp"

namespace lance::actors {

struct choice {
  runtime::machine machine;
  runtime::placement plan;
  runtime::uring_capabilities capabilities;
  bool use_uring = false;
  std::string backend; ///< "io_uring", "io_uring (buffers not registered)", "pwritev"
};

/// The choice for a machine as it was read; pure.
[[nodiscard]] choice choose(const config::config& values, const runtime::machine& machine,
                            const runtime::uring_capabilities& capabilities);
/// The same, asking the kernel first.
[[nodiscard]] choice choose(const config::config& values);

/// As comment lines for --print-config.
[[nodiscard]] std::string describe_placement(const config::config& values);

} // namespace lance::actors
