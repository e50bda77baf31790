// Every message between the actors of the server, each with one sentence. On the record path they
// are pooled (runtime/owned_message.hpp) and carry buffers by handle; a batch of work per message,
// never a record. Control traffic is rare and uses plain values.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include "actors/caller.hpp"
#include "actors/limits.hpp"
#include "runtime/buffer_pool.hpp"
#include "runtime/bytes.hpp"
#include "runtime/owned_message.hpp"
#include "runtime/result.hpp"
#include "runtime/types.hpp"
#include "storage/log.hpp"
#include "storage/watermark.hpp"
#include "wire/batch_commands.hpp"
#include "wire/checksum.hpp"
#include "wire/control.hpp"
#include "wire/control_json.hpp"

namespace lance::actors {

/// Whom an answer goes to: a place in the reply order of one connection, or, with `network` set to
/// `internal`, an actor of ours that appended to a log itself.
struct reply_address {
  std::uint16_t network = 0; ///< which network actor
  std::uint32_t session = 0;
  std::uint32_t generation =
      0; ///< a session slot is used again; answers to the old one are dropped
  std::uint64_t ticket = 0;

  static constexpr std::uint16_t internal = 0xffff;
};

// -- network to ingestion --------------------------------------------------------------------

/// One ingest frame, judged and checked. Its payload lies in `pieces` of the message around it.
struct incoming_batch {
  reply_address from;
  log_id log;
  std::uint32_t record_count = 0;
  std::uint32_t payload_bytes = 0;
  std::uint32_t payload_crc = 0;
  wire::checksum_kind kind = wire::checksum_kind::iso_hdlc;
  bool source_compressed = false;
  bool control = false;             ///< a record of an internal log: takes no stream offsets
  storage::producer_stamp producer; ///< of nobody, or of an idempotent producer
  std::uint32_t first_piece = 0;
  std::uint32_t piece_count = 0;
};

inline constexpr std::size_t frames_batches_max = 512; ///< a receive buffer of small frames
inline constexpr std::size_t frames_buffers_max = 8;   ///< so that a message holds few buffers back

/// Batches for the logs of one shard, with the buffers their payloads lie in.
struct frames {
  std::vector<incoming_batch> batches;
  std::vector<byte_view> pieces;
  std::vector<runtime::buffer_ref> buffers;
  std::vector<std::vector<std::byte>> plain;         ///< decompressed payloads
  std::atomic<std::uint64_t>* plain_bytes = nullptr; ///< counts them while they live
  std::array<std::byte, small_frame_bytes> scratch;
  bool scratch_used = false;
  std::uint64_t received_ns = 0; ///< of its first batch; once sent, when it was handed on
  std::size_t taken = 0;         ///< ingestion's: so many batches are done

  frames() {
    batches.reserve(frames_batches_max);
    pieces.reserve(frames_batches_max * 2);
    buffers.reserve(frames_buffers_max * 2);
  }
  void recycle() noexcept {
    batches.clear();
    pieces.clear();
    buffers.clear();
    for (const auto& payload : plain)
      plain_bytes->fetch_sub(payload.size(), std::memory_order_relaxed);
    plain.clear();
    scratch_used = false;
    taken = 0;
  }
};

// -- ingestion to poller ---------------------------------------------------------------------

/// Who waits for a batch of a run to become durable. In the run's order.
struct pending_ack {
  reply_address to;
  batch_number batch;
};

/// What one log has sealed since the last such message, and who waits for it.
struct sealed {
  storage::sealed_run run;
  std::vector<pending_ack> acks;
  std::uint64_t received_ns = 0; ///< of the newest batch in it
  std::uint64_t sealed_ns = 0;

  sealed() { acks.reserve(frames_batches_max); }
  void recycle() noexcept {
    run.clear();
    acks.clear();
  }
};

// -- ingestion and poller to network ---------------------------------------------------------

struct outcome {
  std::uint32_t session = 0;
  std::uint32_t generation = 0;
  std::uint64_t ticket = 0;
  bool done = true; ///< the batch is as durable as its topic promises
  errc refusal{};   ///< why not, when not done
};

inline constexpr std::size_t outcomes_max = 1024;

/// What became of ingest frames of one network actor's connections.
struct outcomes {
  std::vector<outcome> list;
  std::uint64_t durable_ns = 0; ///< when the poller knew; 0: ingestion refused them

  outcomes() { list.reserve(outcomes_max); }
  void recycle() noexcept {
    list.clear();
    durable_ns = 0;
  }
};

// -- network to poller and back --------------------------------------------------------------

enum class read_kind : std::uint8_t {
  bytes,    ///< LWP v1's Fetch: payload bytes from any offset
  batches,  ///< FetchBatches: whole batches with their facts
  lookup,   ///< OffsetLookup
  end_only, ///< the visible end, for Subscribe at the end
};

/// A connection wants to read a log.
struct read_request {
  reply_address from;
  read_kind kind = read_kind::bytes;
  log_id log;
  byte_offset start;
  std::uint32_t max_bytes = 0;
  std::uint32_t min_bytes = 0;
  std::uint32_t max_wait_ms = 0;
  wire::lookup_kind lookup = wire::lookup_kind::earliest;
  std::uint64_t lookup_value = 0;
  std::uint64_t received_ns = 0;

  void recycle() noexcept { *this = read_request{}; }
};

/// A reply buffer keeps this much free in front, for the frame header and what precedes the data.
inline constexpr std::size_t reply_headroom = 128;

/// Bytes of a log for a connection, or why there are none.
struct read_reply {
  reply_address to;
  log_id log;
  read_kind kind = read_kind::bytes;
  bool done = true;
  errc refusal{};
  byte_offset start; ///< the offset that was asked for
  byte_offset next;
  byte_offset end; ///< readers see the log up to here
  record_number start_record;
  std::uint64_t time_ns = 0;
  std::uint32_t batch_count = 0;
  bool catching_up = false; ///< asked for what lies beyond the end
  /// Refused as corrupt: the damaged batch is [damaged, damaged_end); equal when none is known.
  byte_offset damaged;
  byte_offset damaged_end;
  std::vector<runtime::buffer_ref>
      buffers; ///< data from `reply_headroom` in the first, from 0 in the others
  std::vector<std::uint32_t> sizes; ///< bytes of data in each
  std::uint64_t received_ns = 0;

  read_reply() {
    buffers.reserve(80);
    sizes.reserve(80);
  }
  void recycle() noexcept {
    buffers.clear();
    sizes.clear();
    batch_count = 0;
    catching_up = false;
    done = true;
  }
};

/// Poller to network, repeated while it is so: readers wait for the buffers that the replies of
/// others lie in.
struct readers_wait {};
inline constexpr std::uint64_t readers_wait_ns = 2 * s_in_ns; ///< how long one of them is true

// -- control ---------------------------------------------------------------------------------

/// A control command that the metadata actor answers. The gate has let it through.
struct control_request {
  reply_address from;
  wire::command code{};
  std::vector<std::byte> payload;
  std::shared_ptr<const caller> who; ///< null: everybody may see everything
};

/// Its answer: the payload of a control frame with this code, or an Ack frame with this batch id.
struct control_reply {
  reply_address to;
  wire::command code{};
  bool ack_frame = false;
  std::uint64_t ack_id = 0;
  std::vector<std::byte> payload;
};

/// An actor of ours appends a record to an internal log; `appended` answers it.
struct append_entry {
  log_id log;
  std::uint64_t cookie = 0;
  std::vector<std::byte> payload; ///< at most 1 MiB
};

/// An entry of ours is durable, or why not.
struct appended {
  log_id log;
  std::uint64_t cookie = 0;
  batch_number batch; ///< when done
  bool done = true;
  errc refusal{};
};

/// To the poller: a log is to be opened, or the policy of an open one changed. `requester` hears
/// `log_opened` once ingestion takes appends for it.
struct open_log {
  storage::log_policy policy;
  caf::actor requester;
  std::uint64_t cookie = 0;
};
/// To ingestion: the log exists but is not open, and this is what its writers are told until it is:
/// log_opening (it is being recovered) or io_failed (it could not be opened).
struct log_absent {
  log_id log;
  errc why = errc::log_opening;
};
/// To ingestion, on an operator's command or once there is room again, which takes no more for the
/// log and passes it on to the poller: a fenced log, or one that did not open, is recovered from
/// the device and goes on. `requester` hears `log_opened`. Refusals: invalid_request (it is not
/// fenced), corrupt (it is damaged), log_opening (under way, or ingestion has not heard of the
/// fence yet), topic_not_found, io_failed.
struct unfence_log {
  open_log again;     ///< with policy.lift_fence, when an operator asks
  bool quiet = false; ///< ingestion's word that no run of the old log is on its way any more
};
/// Poller to metadata: the journal takes entries now, or does not any more.
struct journal_state {
  bool writable = true;
};
/// Poller to ingestion: a log is open; appends begin here.
struct log_ready {
  std::shared_ptr<const storage::append_start> start;
  caf::actor requester;
  std::uint64_t cookie = 0;
};
/// Poller to ingestion: how far appends may go from now on.
struct log_grant {
  log_id log;
  storage::append_grant grant;
};
struct log_opened {
  log_id log;
  std::uint64_t cookie = 0;
  bool done = true;
  errc refusal{};
};

/// To ingestion, which takes no more for the log and passes it on to the poller: the log goes away
/// with all its data; `requester` hears `log_deleted` when it is gone from the disk.
struct delete_log {
  log_id log;
  caf::actor requester;
  std::uint64_t cookie = 0;
};
struct log_deleted {
  log_id log;
  std::uint64_t cookie = 0;
  bool done = true; ///< false: the files could not be removed; they are out of use all the same
};

/// What a log looks like now, for DescribeTopic.
struct describe_log {
  log_id log;
  caf::actor requester;
  std::uint64_t cookie = 0;
};
struct log_described {
  log_id log;
  std::uint64_t cookie = 0;
  bool done = true; ///< false: there is no such log here
  wire::partition_info facts;
};

/// To the poller: whole segments of an internal log below `batch` have been summed up after it.
struct drop_before {
  log_id log;
  batch_number batch;
};

// -- upkeep ----------------------------------------------------------------------------------

/// Upkeep to pollers: each log gives up what its policy says.
struct enforce_retention {};
/// Poller to ingestion: nothing more goes into the log's active segment, whether or not a batch
/// follows; `segment_ended` answers behind all runs of it.
struct end_segment {
  log_id log;
};
struct segment_ended {
  log_id log;
  storage::segment_id segment;
};
/// Upkeep to pollers, ingestion and metadata: how full the disk is, when that changes. At
/// stop_writes clients' batches and new topics are refused, and no log allocates but the journal.
struct disk_changed {
  storage::disk_level level = storage::disk_level::ok;
};
/// Poller to upkeep: a log met a full disk, or has room again.
struct log_space {
  log_id log;
  storage::log_state state = storage::log_state::open;
};
/// Metadata to upkeep: the journal did not take an entry.
struct journal_refused {};
/// Upkeep's timer.
struct upkeep_tick {};
/// Upkeep's first message.
struct upkeep_routes {
  std::vector<caf::actor> ingestion;
  std::vector<caf::actor> pollers;
  caf::actor metadata;
};

/// The metadata actor's first message: which logs to open, and who hears `node_ready` then.
struct metadata_routes {
  std::vector<caf::actor> ingestion; ///< by shard
  std::vector<caf::actor> pollers;   ///< by shard
  std::vector<caf::actor> networks;
  caf::actor upkeep;
  caf::actor supervisor;
};
/// Metadata to its supervisor: whoever opens a log has been told, and whoever writes to one;
/// clients may come.
struct opening_begun {};
/// Metadata to its supervisor: so many logs have been opened (or could not be) so far.
struct opening_progress {
  std::uint64_t logs = 0;
};
/// Every log is open, or why the node cannot serve.
struct node_ready {
  bool done = true;
  std::uint64_t logs = 0;
  std::uint64_t failed = 0; ///< logs that could not be opened
};

/// Where a network actor's messages go; its first message.
struct network_routes {
  std::vector<caf::actor> ingestion; ///< by shard
  std::vector<caf::actor> pollers;   ///< by shard
  caf::actor metadata;
};

/// Metadata to network, ahead of the answer to whoever made or deleted it: what the gate calls the
/// topic. Empty: it is gone.
struct topic_named {
  topic_id id;
  std::string name;
};

/// Drain: stop accepting, answer what was received, then say `drained`.
struct stop_serving {
  caf::actor requester;
};
struct drained {
  std::uint16_t network = 0;
};

/// To the poller, ahead of a drain: readers who wait for more get what there is, and nobody waits
/// from now on.
struct stop_waiting {};

/// Every log of a shard is to be closed in order; `logs_closed` answers.
struct close_logs {
  caf::actor requester;
};
struct logs_closed {
  std::uint16_t shard = 0;
};

/// Handles of the neighbours; a shard actor's first message.
struct shard_routes {
  caf::actor ingestion;
  caf::actor poller;
  std::vector<caf::actor> networks;
  caf::actor metadata;
  caf::actor upkeep;
};

} // namespace lance::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::runtime::message_ref<lance::actors::frames>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::runtime::message_ref<lance::actors::sealed>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::runtime::message_ref<lance::actors::outcomes>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::runtime::message_ref<lance::actors::read_request>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::runtime::message_ref<lance::actors::read_reply>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::control_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::control_reply)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::append_entry)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::appended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::open_log)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::log_opened)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::log_absent)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::unfence_log)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::journal_state)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::opening_begun)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::opening_progress)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::delete_log)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::log_deleted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::describe_log)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::log_described)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::network_routes)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::stop_serving)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::drained)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::topic_named)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::log_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::log_grant)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::stop_waiting)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::readers_wait)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::close_logs)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::logs_closed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::shard_routes)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::drop_before)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::metadata_routes)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::node_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::enforce_retention)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::end_segment)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::segment_ended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::disk_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::log_space)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::journal_refused)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::upkeep_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::actors::upkeep_routes)
