#include "client/cli/exit_code.hpp"

namespace lance::client::cli {

exit_code exit_code_of(const failure& what) noexcept {
  switch (what.code) {
  case errc::topic_not_found:
    return exit_code::not_found;
  case errc::not_authenticated:
  case errc::not_authorized:
    return exit_code::refused;
  case errc::forward_failed:
  case errc::not_leader:
  case errc::throttled:
  case errc::rebalancing:
  case errc::exhausted:
  case errc::closed:
  case errc::timed_out:
    return exit_code::unavailable;
  case errc::io_failed: // of the network, or of a file of ours
    return what.retriable ? exit_code::unavailable : exit_code::failed;
  case errc::corrupt:
  case errc::bad_format:
    return exit_code::damaged;
  default:
    return exit_code::failed;
  }
}

} // namespace lance::client::cli
