// `lance doctor`: what this machine gives, what of it a node would use, and what to do about the
// rest. Starts nothing and changes nothing but, with `apply`, where interrupts arrive. Blocks for a
// few seconds at most; main thread.
#pragma once

#include <iosfwd>
#include <string>

#include "actors/doctor/facts.hpp"

namespace lance::actors::doctor {

struct doctor_options {
  bool json = false;
  bool apply = false; ///< steer the network card's interrupts away from the lanes
  std::string root;   ///< before /proc and /sys: a tree of another machine, or a made-up one
};

/// Everything there is to know. Writes at most 2 MiB, into a file without a name.
[[nodiscard]] facts gather(const config::loaded& wanted, const std::string& root);

/// Gathers, applies, judges and tells. The exit code, see report.hpp.
int run_doctor(const config::loaded& wanted, const doctor_options& options, std::ostream& out,
               std::ostream& errors);

} // namespace lance::actors::doctor
