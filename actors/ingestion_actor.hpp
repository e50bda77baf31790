// Gives every batch of its shard's logs a place: stamps, appends in memory, seals, and hands what a
// turn brought to the poller in one message per log. One per shard, on the ingest lane.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include <caf/actor.hpp>

#include "actors/messages.hpp"
#include "runtime/lane.hpp"
#include "runtime/metrics.hpp"
#include "storage/appender.hpp"
#include "storage/ring.hpp"

namespace lance::actors {

struct ingestion_options {
  std::uint16_t shard = 0;
  node_id node;
  storage::options storage;
};

/// Memory of one shard's ingestion; made before the actor system and destroyed after it.
struct ingestion_memory {
  std::unique_ptr<runtime::buffer_pool> chunks; ///< append buffers; the tail cache keeps some
  runtime::message_pool<sealed> sealed_messages{messages_in_flight};
  runtime::message_pool<outcomes> outcome_messages{messages_in_flight};
};

class ingestion_actor final : public runtime::resident_actor<> {
 public:
  ingestion_actor(caf::actor_config& config, const ingestion_options& options,
                  ingestion_memory& memory, runtime::metric_set& metrics);
  ~ingestion_actor() override;

  caf::behavior make_behavior() override;
  void on_exit() override;
  bool poll() override;
  [[nodiscard]] bool ready() const override;
  const char* name() const override { return "ingestion"; }

 private:
  struct log_slot {
    log_slot(const storage::append_start& start, const storage::options& chosen,
             runtime::buffer_pool& pool, storage::stamp_identity identity)
        : appender(start, chosen, pool, identity) {}
    storage::appender appender;
    std::vector<pending_ack> acks; ///< of batches not handed on yet, in order
    std::size_t acks_sent = 0;
    bool touched = false;
    std::optional<storage::segment_id> ended; ///< the poller hears it behind the last run
    std::uint64_t received_ns = 0;
  };

  bool append_waiting();
  bool append_entries();
  /// True when the batch is done with: appended or refused.
  bool append(const incoming_batch& batch, std::span<const byte_view> pieces,
              std::uint64_t received_ns);
  /// True when a batch of an idempotent producer is done with: here already, or refused.
  bool judge(log_slot& slot, const incoming_batch& batch);
  void touch(log_slot& slot);
  void unfence(unfence_log& wanted);
  void forget(std::uint32_t log, errc why);
  void seal();
  bool seal(log_slot& slot);
  void refuse(const reply_address& to, log_id log, errc why);
  void send_refusals();
  void make_room();
  static void feed(void* self);

  const ingestion_options options_;
  ingestion_memory& memory_;
  runtime::metric_set& metrics_;
  shard_routes routes_;
  std::unordered_map<std::uint32_t, log_slot> logs_;
  std::unordered_map<std::uint32_t, errc> absent_; // logs that are not open, and why
  storage::ring<runtime::message_ref<frames>>
      waiting_;                      // bounded by the network actors' message pools
  std::deque<append_entry> entries_; // of our own actors, few
  std::vector<log_slot*> touched_;
  std::vector<runtime::message_ref<outcomes>> refusals_;  // by network actor
  storage::ring<std::pair<reply_address, errc>> refused_; // while no message was to be had
  bool stopped_ = false; // the disk is too full for clients' batches
  bool blocked_ = false; // appends wait for buffers, messages or a grant
  std::atomic<bool> fed_{false};
};

} // namespace lance::actors
