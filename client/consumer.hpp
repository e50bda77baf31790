// Reads one partition of a topic from any place on, keeping its own position: a standalone
// consumer.
//
// Against a server of ours it fetches whole batches, knows record numbers and times, and lets the
// server hold a request until there is something new. Against a server of LWP v1 it falls back to
// byte ranges: numbers and times are then unknown, and it asks again every `idle_poll`. How replies
// become records is told in record_walker.hpp.
//
// Calls block until their deadline at most, but for connecting (connect_timeout per server). One
// thread at a time; no thread of its own.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/connector.hpp"
#include "client/record.hpp"
#include "client/record_walker.hpp"

namespace lance::client {

/// Where to begin.
struct start_position {
  enum class kind : std::uint8_t { earliest, latest, offset, record, time } at = kind::earliest;
  std::uint64_t value = 0; ///< byte offset, record number, or ns since the Unix epoch

  friend bool operator==(const start_position&, const start_position&) = default;
};

struct consumer_options {
  connection_options connection;
  /// Asked for per request; a longer batch is got whole. 1 MiB costs one system call per thousand
  /// records of the usual size.
  std::uint32_t fetch_bytes = 1 * MiB;
  /// How long the server may hold a request when there is nothing new, 20 s at most. 0: poll()
  /// returns empty-handed as soon as the end is reached.
  std::chrono::milliseconds fetch_wait{5000};
  /// Pause between requests to a server that does not hold them.
  std::chrono::milliseconds idle_poll{50};
  client::framing framing = framing::records;
};

class consumer {
 public:
  explicit consumer(const consumer_options& options);
  ~consumer();
  consumer(const consumer&) = delete;
  consumer& operator=(const consumer&) = delete;

  /// Errors: topic_not_found; unsupported when a server of v1 is asked for a record or a time.
  [[nodiscard]] outcome<> subscribe(const std::string& topic, const start_position& start = {},
                                    std::uint32_t partition = 0);
  /// The same topic from elsewhere.
  [[nodiscard]] outcome<> seek(const start_position& start);

  /// Up to `max_records` records in order, valid until the next call; none when there was nothing
  /// in time. After a failure that is retriable poll() may be called again, and loses nothing; it
  /// returns such a failure when reconnecting did not work within the deadline. Errors otherwise:
  /// topic_not_found, offset_out_of_range (the position is and stays beyond the end, or behind the
  /// start), bad_format (a v1 stream that is not made of records).
  [[nodiscard]] outcome<std::span<const record>> poll(std::size_t max_records, deadline until);

  /// The offset of the next record: what to save to go on here.
  [[nodiscard]] byte_offset position() const noexcept { return walker_.position(); }
  /// The end of the log, asked now. Blocks.
  [[nodiscard]] outcome<byte_offset> end();
  [[nodiscard]] log_id log() const noexcept { return log_; }
  /// The last answer reached the end. What is left then of a v1 stream, between position() and the
  /// end, is no whole record.
  [[nodiscard]] bool at_end() const noexcept { return at_end_; }
  /// Talking to a server of LWP v1. Known after the first poll().
  [[nodiscard]] bool plain() const noexcept { return plain_; }

 private:
  enum class progress { records, nothing };

  [[nodiscard]] outcome<> find_start(const start_position& start);
  [[nodiscard]] outcome<> take_records(std::size_t max_records);
  [[nodiscard]] outcome<progress> fetch(deadline until);
  [[nodiscard]] outcome<> request();
  [[nodiscard]] outcome<> post(wire::command code, byte_view payload);
  [[nodiscard]] outcome<> ensure_connected();
  [[nodiscard]] outcome<progress> take_reply(const reply_frame& reply);
  [[nodiscard]] outcome<progress> take_batches(byte_view payload);
  [[nodiscard]] outcome<progress> take_stream(byte_view payload);
  [[nodiscard]] outcome<progress> beyond(byte_offset end);
  void prefetch();
  void disconnect();
  [[nodiscard]] tl::unexpected<failure> unreadable();

  consumer_options options_;
  connector connector_;
  backoff backoff_;
  std::unique_ptr<channel> channel_;
  record_walker walker_;
  std::vector<record> records_;

  std::string topic_;
  log_id log_;
  bool plain_ = false;
  bool broken_ = false;    ///< drop the channel when the walker needs it no more
  bool requested_ = false; ///< a fetch is in flight
  bool at_end_ = false;
  deadline answer_by_ = deadline::never();
  std::uint64_t hurried_before_ns_ = 0; ///< an empty answer before this was not waited for
  std::optional<byte_offset> stuck_;    ///< the end, told to be before our position
  unsigned stuck_times_ = 0;
};

} // namespace lance::client
