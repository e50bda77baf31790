// How `lnc` ends. Scripts rely on the numbers.
#pragma once

#include "client/failure.hpp"

namespace lance::client::cli {

enum class exit_code : int {
  done = 0,
  failed = 1,
  usage = 2,
  not_found = 3,
  refused = 4,     ///< authorisation
  unavailable = 5, ///< retrying may help
  damaged = 10,
};

[[nodiscard]] exit_code exit_code_of(const failure& what) noexcept;

} // namespace lance::client::cli
