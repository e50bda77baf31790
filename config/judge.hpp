// What cannot work together, what this build does not have yet, and what this machine lacks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/load.hpp"
#include "runtime/machine.hpp"

namespace lance::config {

/// Adds errors and notices about the values as a whole. load() has called it already.
void judge(loaded& loaded);

/// Notices about keys that name hardware this machine does not have; LANCE runs without it.
[[nodiscard]] std::vector<std::string> absent_hardware(const config& values,
                                                       const runtime::machine& machine);

/// Whether an address of a listener, as configured, can be reached from this machine only.
[[nodiscard]] bool on_loopback(std::string_view address) noexcept;

} // namespace lance::config
