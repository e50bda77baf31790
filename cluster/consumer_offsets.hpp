// The book of LWP v1's consumers: Subscribe, Unsubscribe and CommitOffset. No data is ever pushed;
// a consumer subscribes to learn where to start, and then polls with Fetch.
//
// Per (log, consumer id) there is a position, which lives in memory only, and a committed offset,
// which is a state machine of its own: plan_commit() says which entry does it, the owner makes the
// encoded entry durable, apply() changes the book. Same entries, same committed offsets.
//
// Whether the log exists is the caller's question to the table of topics. When a topic goes away,
// the caller applies offsets_dropped for each of its logs: directly, where the deletion itself is
// in the same log as the commits (replay repeats it in the same order), or as an entry.
//
// Pure: no clock, thread or file. Not thread-safe: it belongs to one owner.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"
#include "runtime/types.hpp"
#include "wire/control.hpp"

namespace lance::cluster {

/// 64 bytes of memory each, so 64 MB at most; the same again for positions. Consumers choose their
/// ids themselves, and a stranger who counts through them must find an end.
inline constexpr std::size_t committed_offsets_max = 1'000'000;
inline constexpr std::size_t consumer_positions_max = 1'000'000;

/// A Subscribe that starts here wants to start at the end of the log.
inline constexpr byte_offset subscribe_at_end{~std::uint64_t{0}};

struct offset_committed {
  log_id log;
  std::uint64_t consumer_id = 0;
  byte_offset offset;
  friend bool operator==(const offset_committed&, const offset_committed&) = default;
};
/// The log has gone, and with it everything known about its consumers.
struct offsets_dropped {
  log_id log;
  friend bool operator==(const offsets_dropped&, const offsets_dropped&) = default;
};

using offset_entry = std::variant<offset_committed, offsets_dropped>;

[[nodiscard]] std::vector<std::byte> encode(const offset_entry& entry);
/// Errors: unsupported (format version of a newer build), bad_format.
[[nodiscard]] result<offset_entry> decode_offset(byte_view bytes);

class consumer_offsets {
 public:
  /// The bounds are parameters for tests only.
  explicit consumer_offsets(std::size_t committed_max = committed_offsets_max,
                            std::size_t positions_max = consumer_positions_max) noexcept
      : committed_max_(committed_max), positions_max_(positions_max) {}

  /// Where the consumer starts, which becomes its position: at what it committed, else at 0, when
  /// it asks for 0; at `current_end` when it asks for subscribe_at_end (only then is that looked
  /// at); else where it asks for, unchanged, even past the end. Errors: throttled (no room for
  /// another position).
  result<byte_offset> subscribe(log_id log, std::uint64_t consumer_id, byte_offset requested,
                                byte_offset current_end);

  /// Forgets the position, keeps the committed offset. Unknown consumers are none of its business.
  void unsubscribe(log_id log, std::uint64_t consumer_id);

  /// Any offset is fine, also one before the committed one. Errors: throttled (a new consumer, and
  /// no room).
  [[nodiscard]] result<offset_entry> plan_commit(log_id log, std::uint64_t consumer_id,
                                                 byte_offset offset) const;

  /// Errors leave the book unchanged: throttled, as for plan_commit().
  result<> apply(const offset_entry& entry);

  /// Encoded entries that give an empty book, and one that has applied any latter part of this
  /// one's entries, the same committed offsets. By log, then consumer. Commits that were planned
  /// before and are applied after it would be undone by it: take it when none is under way.
  [[nodiscard]] std::vector<std::vector<std::byte>> snapshot() const;

  [[nodiscard]] std::optional<byte_offset> committed(log_id log, std::uint64_t consumer_id) const;
  [[nodiscard]] std::optional<byte_offset> position(log_id log, std::uint64_t consumer_id) const;
  [[nodiscard]] std::size_t committed_count() const noexcept { return committed_.size(); }
  [[nodiscard]] std::size_t position_count() const noexcept { return positions_.size(); }

  /// Of what is persisted: committed offsets, not positions.
  friend bool operator==(const consumer_offsets& a, const consumer_offsets& b) {
    return a.committed_ == b.committed_;
  }

 private:
  struct key {
    log_id log;
    std::uint64_t consumer_id = 0;
    friend auto operator<=>(const key&, const key&) noexcept = default;
  };
  using book = std::map<key, byte_offset>;

  static result<> put(book& in, std::size_t limit, const key& at, byte_offset offset);
  static void drop(book& from, log_id log);

  std::size_t committed_max_;
  std::size_t positions_max_;
  book committed_;
  book positions_;
};

} // namespace lance::cluster
