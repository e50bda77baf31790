// The bounds of the server's own queues, each with its reason.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/types.hpp"

namespace lance::actors {

/// Ingest frames of one connection that wait for their reply. 4,096 frames of 1 KiB are twice what
/// a flush of this class of disks lets pass meanwhile; beyond it the connection is not read.
inline constexpr std::size_t replies_outstanding_max = 4096;

/// Up to here a torn frame is gathered in the connection's own memory instead of pooled buffers:
/// with the largest number of connections that stays below the pools themselves.
inline constexpr std::size_t small_frame_bytes = 4096;

/// Receive buffers of one connection that wait to be cut while it is held back.
inline constexpr std::size_t inputs_waiting_max = 2;

/// Replies are gathered into buffers of this size: 372 acknowledgements, one send.
inline constexpr std::size_t send_buffer_bytes = 16 * KiB;
inline constexpr std::uint32_t send_buffers = 256;

/// A peer that takes none of its replies, or leaves a frame half sent, for this long is gone.
inline constexpr std::uint64_t stalled_peer_ns = 30 * s_in_ns;

/// The same while others wait for the buffers that its half-sent frame holds.
inline constexpr std::uint64_t contended_peer_ns = 2 * s_in_ns;

/// Of the receive buffers, connections that wait for room for a large torn frame may hold so much;
/// a further one is closed, because nothing would be left for the healthy.
inline constexpr std::uint32_t assembly_waiters_share = 8;

/// Messages under way between two actors. One carries up to a turn's frames of a log (and memory
/// for them, 60 KiB); more of them would only let a queue grow whose other end is the bottleneck.
inline constexpr std::size_t messages_in_flight = 64;
/// A reader who takes nothing of his reply for this long, while others wait for the buffers that it
/// lies in, is put out: below 128 KiB/s he would hold them up for as long as he likes.
inline constexpr std::uint64_t contended_reader_ns = 2 * s_in_ns;

/// After the last reply of a drain the peer may read it in peace before the socket is closed for
/// good: closing over bytes that nobody read would take back replies not yet delivered.
inline constexpr std::uint64_t farewell_ns = 1 * s_in_ns;

/// Bytes of decompressed payloads that wait for ingestion, per network lane.
inline constexpr std::uint64_t decompressed_bytes_max = 32 * MiB;

/// Logs above are the broker's own (cluster::topic_id_max): for clients they do not exist.
inline constexpr std::uint32_t client_log_max = 0x7fff'ffff;

/// An encrypted connection takes and gives whole records of up to 16 KiB and some; four of them in
/// a buffer keep the number of sends small. Ciphertext waits only while the socket takes it.
inline constexpr std::size_t secure_buffer_bytes = 64 * KiB;
inline constexpr std::uint32_t cipher_buffers = 64;

/// Until it has shown who it is, a connection sends frames up to this: the longest token.
inline constexpr std::uint32_t stranger_frame_bytes = 8 * KiB;
/// And it has so long to do so; where strangers may read, it is not asked to.
inline constexpr std::uint64_t stranger_limit_ns = 10 * s_in_ns;
/// Wrong tokens on one connection before it is closed. Tokens are too long to be guessed; who tries
/// so often is broken or up to something.
inline constexpr unsigned failed_logins_max = 10;

/// Who is over quota waits unread for up to this long: the published client takes that for a slow
/// server, and gives up at 30 s. Who would have to wait longer is refused and told how long.
inline constexpr std::uint64_t quota_hold_ns = 10 * s_in_ns;
/// Of the receive buffers, connections that wait for quota hold up to three each: so many wait at a
/// time, the others are refused.
inline constexpr std::uint32_t quota_waiters_share = 8;
/// Waits shorter than this are not worth a timer of their own; longer ones are looked at again,
/// since quotas change while the node runs.
inline constexpr std::uint64_t quota_step_ns = 1 * ms_in_ns;
inline constexpr std::uint64_t quota_look_ns = 500 * ms_in_ns;

/// A TLS handshake takes one or two round trips; who needs longer than this keeps a place occupied.
inline constexpr std::uint64_t handshake_limit_ns = 10 * s_in_ns;

} // namespace lance::actors
