// Findings as text for people, as JSON for programs, and as an exit code. Pure.
#pragma once

#include <span>
#include <string>

#include "actors/doctor/finding.hpp"

namespace lance::actors::doctor {

// Exit codes of `lance doctor`, as actors/README.md lists them.
inline constexpr int exit_well = 0;     ///< nothing to do
inline constexpr int exit_warned = 1;   ///< it runs, and could run better or more safely
inline constexpr int exit_failed = 2;   ///< a node would not start or take records like this
inline constexpr int exit_not_done = 3; ///< --apply could not do what it was to do

[[nodiscard]] int exit_code_of(std::span<const finding> findings) noexcept;

/// A line per check; what is wrong with its reason and its remedy below.
[[nodiscard]] std::string as_text(std::span<const finding> findings);
/// One object: `status`, `exit_code`, `checks` (of `name`, `status`, `what`, `why`, `fix`), and a
/// newline.
[[nodiscard]] std::string as_json(std::span<const finding> findings);

} // namespace lance::actors::doctor
