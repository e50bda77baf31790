// A topic in one file: what `lnc export` writes and `lnc import` reads. The layout is in
// client/README.md, "Exported topics". Every byte is under a checksum, and each checksum covers the
// one before, so that nothing can be missing, doubled or out of order without being noticed.
//
// Plain code: bytes go to a sink and come from a source. One thread; memory for one batch.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"
#include "runtime/types.hpp"
#include "wire/batch_commands.hpp"

namespace lance::client {

inline constexpr std::size_t topic_file_head_bytes = 16;
inline constexpr std::size_t topic_file_piece_bytes = 44;
/// Of the description. Ours are a few hundred bytes.
inline constexpr std::uint32_t topic_file_description_bytes_max = 64 * KiB;

/// What stands behind the last batch.
struct topic_file_end {
  byte_offset offset;   ///< where the batch after the last would begin
  record_number record; ///< and its first record
  std::uint64_t batches = 0;
  friend bool operator==(const topic_file_end&, const topic_file_end&) = default;
};

class topic_file_writer {
 public:
  using sink = std::function<result<>(byte_view)>;

  explicit topic_file_writer(sink to) : to_(std::move(to)) {}
  /// First. `description` is JSON, at most topic_file_description_bytes_max.
  [[nodiscard]] result<> begin(std::string_view description);
  [[nodiscard]] result<> add(const wire::fetched_batch& batch);
  /// Last. `offset` and `record` are where the topic ended.
  [[nodiscard]] result<> end(byte_offset offset, record_number record);
  [[nodiscard]] std::uint64_t batches() const noexcept { return batches_; }

 private:
  [[nodiscard]] result<> put(std::array<std::byte, topic_file_piece_bytes>& piece,
                             byte_view payload);
  sink to_;
  std::uint32_t sum_ = 0;
  std::uint64_t batches_ = 0;
};

class topic_file_reader {
 public:
  /// Fills what it is given as far as there is something; 0 at the end.
  using source = std::function<result<std::size_t>(byte_span)>;

  explicit topic_file_reader(source from) : from_(std::move(from)) {}
  /// First: the description. Errors of this and next(): corrupt (position() says where, problem()
  /// what), or the source's.
  [[nodiscard]] result<std::string> begin();
  /// The next batch, valid until the next call; nothing at a whole end, which finish() tells.
  [[nodiscard]] result<std::optional<wire::fetched_batch>> next();
  [[nodiscard]] const topic_file_end& finish() const noexcept { return end_; }

  /// Of the piece that was read last or does not hold, in the file.
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

 private:
  [[nodiscard]] result<> fill(byte_span into);
  [[nodiscard]] tl::unexpected<error> damaged(std::string problem);
  [[nodiscard]] result<> take_end(const wire::batch_entry& entry);

  source from_;
  std::vector<std::byte> payload_;
  std::uint32_t sum_ = 0;
  std::uint64_t batches_ = 0;
  std::uint64_t position_ = 0;
  std::uint64_t read_ = 0;
  std::optional<wire::batch_entry> before_;
  topic_file_end end_;
  std::string problem_;
};

} // namespace lance::client
