// Messages of the groups as bytes: entries of a frame's body (wire/peer.hpp). From and to are the
// two ends of the connection and are not written. The layout stands in cluster/README.md, "Messages
// as bytes".
//
// Pure functions; any thread. What decodes has the shape that raft takes for granted: ranges that
// are ranges, terms that rise, memberships that are well formed.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/raft_message.hpp"
#include "runtime/bytes.hpp"
#include "runtime/result.hpp"

namespace lance::cluster {

/// Of one append: who reads a range out of segments ends it here. A run is an election, a
/// membership an administrator's deed: real ranges have a handful.
inline constexpr std::size_t runs_max = 16384;
inline constexpr std::size_t memberships_max = 1024;

/// Puts the entry of `what` behind `body`.
void append_message(std::vector<std::byte>& body, const message& what);

/// Takes one message after the other out of a body.
class message_reader {
 public:
  message_reader(byte_view body, node_id from, node_id to) noexcept
      : rest_(body), from_(from), to_(to) {}
  [[nodiscard]] bool done() const noexcept { return rest_.empty(); }
  /// Errors: bad_format, after which the rest means nothing.
  [[nodiscard]] result<message> next();

 private:
  byte_view rest_;
  node_id from_;
  node_id to_;
};

} // namespace lance::cluster
