// The payload of a control batch: what a leader writes into the log for the group itself.
//
//   byte  size  field
//      0     1  kind: 1 a term begins, 2 a membership
//      1     1  format version, 1
//      2        membership: voters u8, learners u8, then so many node numbers u16, little-endian
//
// A term's batch ends after the version. Which batch a membership stands in, and in which term, is
// said by the batch's header. Kinds never change their meaning.
//
// Pure; any thread.
#pragma once

#include <vector>

#include "cluster/raft_output.hpp"
#include "runtime/bytes.hpp"
#include "runtime/result.hpp"

namespace lance::cluster {

inline constexpr std::size_t control_entry_bytes_max = 4 + members_max * sizeof(std::uint16_t);

/// A membership is well formed.
[[nodiscard]] std::vector<std::byte> encode(const control_batch& what);
/// Errors: unsupported (a kind or format version of a newer build: this node must not go on with
/// the log), bad_format (too short or long, or a membership that is not well formed).
[[nodiscard]] result<control_batch> decode_control(byte_view payload);

} // namespace lance::cluster
