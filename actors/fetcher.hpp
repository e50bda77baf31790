// Answers one read request of a connection: looks the offsets up, reads through storage::reader
// into reply buffers, and says what came of it. A bounded number of them exist per shard; a request
// waits until one is free and enough reply buffers are to be had.
#pragma once

#include <memory>

#include "actors/messages.hpp"
#include "storage/reader.hpp"

namespace lance::actors {

class fetcher;

/// Hears when a fetcher has its reply complete, or met damage on the way. The poller's thread.
class fetch_owner {
 public:
  virtual void fetched(fetcher& by) = 0;

 protected:
  ~fetch_owner() = default;
};

class fetcher final : public storage::read_operation {
 public:
  fetcher(fetch_owner& owner, storage::reader& reader, runtime::buffer_pool& replies)
      : owner_(owner), reader_(reader), replies_(replies) {}

  /// Whether a reader who follows should wait for more.
  [[nodiscard]] static bool should_wait(const read_request& request, const storage::log& log);

  /// Starts. `log` stays until fetched(). The reply fills at most `buffers`, more only for a single
  /// batch that is larger. False: not enough reply buffers now; nothing was begun.
  bool begin(runtime::message_ref<read_request>& request, runtime::message_ref<read_reply>& reply,
             storage::log& log, std::uint32_t buffers);

  [[nodiscard]] runtime::message_ref<read_reply>& reply() noexcept { return reply_; }
  [[nodiscard]] const read_request& request() const noexcept { return *request_; }
  [[nodiscard]] storage::log* log() const noexcept { return log_; }
  void release() noexcept {
    request_.reset();
    log_ = nullptr;
  }

 private:
  struct plan {
    byte_offset begin;
    byte_offset end;
    std::uint32_t entry_bytes = 0; ///< of batch entries in front of the data
    [[nodiscard]] std::uint64_t bytes() const noexcept {
      return entry_bytes + (end.value - begin.value);
    }
  };

  void finished(result<storage::read_outcome> outcome) override;
  void look_up();
  result<plan> plan_bytes();
  result<plan> plan_batches();
  bool reserve(std::uint64_t bytes);
  void fill(const plan& planned);
  void begin_filling();
  void go_on_after_retention();
  void read_on();
  void end_before_damage();
  void end(bool done, errc refusal = {});

  fetch_owner& owner_;
  storage::reader& reader_;
  runtime::buffer_pool& replies_;
  runtime::message_ref<read_request> request_;
  runtime::message_ref<read_reply> reply_;
  storage::log* log_ = nullptr;
  std::vector<wire::batch_entry> entries_;
  std::uint64_t most_ = 0; ///< bytes of this reply
  byte_offset begin_;      ///< of the data of this reply
  byte_offset at_;
  byte_offset end_;
  std::size_t filling_ = 0;  ///< reply buffer being filled
  std::uint32_t filled_ = 0; ///< of it, from its data's beginning
};

} // namespace lance::actors
