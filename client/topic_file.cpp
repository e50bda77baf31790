#include "client/topic_file.hpp"

#include <cstring>

#include "runtime/check.hpp"
#include "wire/checksum.hpp"

namespace lance::client {

namespace {

constexpr std::array magic{std::byte{'L'}, std::byte{'N'}, std::byte{'C'}, std::byte{'T'},
                           std::byte{'O'}, std::byte{'P'}, std::byte{0},   std::byte{1}};
constexpr std::uint32_t batch_piece = 1;
constexpr std::uint32_t end_piece = 2;
constexpr std::size_t sum_at = 40;

std::uint32_t add(std::uint32_t sum, byte_view bytes) {
  return wire::checksum_update(wire::checksum_kind::castagnoli, sum, bytes);
}

std::uint32_t sum_of_head(byte_view head, byte_view description) {
  return add(add(0, head.first(12)), description);
}

std::uint32_t sum_of_piece(std::uint32_t before, byte_view piece, byte_view payload) {
  std::array<std::byte, 4> seed{};
  store_le(seed.data(), before);
  return add(add(add(0, seed), piece.first(sum_at)), payload);
}

} // namespace

// -- writing -------------------------------------------------------------------------------------

result<> topic_file_writer::begin(std::string_view description) {
  LANCE_CHECK(description.size() <= topic_file_description_bytes_max, description.size());
  std::array<std::byte, topic_file_head_bytes> head{};
  std::memcpy(head.data(), magic.data(), magic.size());
  store_le(head.data() + 8, static_cast<std::uint32_t>(description.size()));
  sum_ = sum_of_head(head, as_bytes(description));
  store_le(head.data() + 12, sum_);
  if (auto done = to_(head); !done)
    return done;
  return to_(as_bytes(description));
}

result<> topic_file_writer::put(std::array<std::byte, topic_file_piece_bytes>& piece,
                                byte_view payload) {
  sum_ = sum_of_piece(sum_, piece, payload);
  store_le(piece.data() + sum_at, sum_);
  if (auto done = to_(piece); !done)
    return done;
  return payload.empty() ? result<>{} : to_(payload);
}

result<> topic_file_writer::add(const wire::fetched_batch& batch) {
  std::array<std::byte, topic_file_piece_bytes> piece{};
  store_le(piece.data(), batch_piece);
  store_le(piece.data() + 4, batch.entry.payload_length);
  store_le(piece.data() + 8, batch.entry.record_count);
  store_le(piece.data() + 16, batch.entry.offset.value);
  store_le(piece.data() + 24, batch.entry.first_record.value);
  store_le(piece.data() + 32, batch.entry.time_ns);
  ++batches_;
  return put(piece, batch.payload);
}

result<> topic_file_writer::end(byte_offset offset, record_number record) {
  std::array<std::byte, topic_file_piece_bytes> piece{};
  store_le(piece.data(), end_piece);
  store_le(piece.data() + 16, offset.value);
  store_le(piece.data() + 24, record.value);
  store_le(piece.data() + 32, batches_);
  return put(piece, {});
}

// -- reading -------------------------------------------------------------------------------------

tl::unexpected<error> topic_file_reader::damaged(std::string problem) {
  problem_ = std::move(problem);
  return tl::unexpected{error{errc::corrupt, 0}};
}

result<> topic_file_reader::fill(byte_span into) {
  while (!into.empty()) {
    const auto got = from_(into);
    if (!got)
      return tl::unexpected{got.error()};
    if (*got == 0)
      return damaged("the file ends early, at byte " + std::to_string(read_));
    read_ += *got;
    into = into.subspan(*got);
  }
  return {};
}

result<std::string> topic_file_reader::begin() {
  std::array<std::byte, topic_file_head_bytes> head{};
  if (auto filled = fill(head); !filled)
    return tl::unexpected{filled.error()};
  if (std::memcmp(head.data(), magic.data(), magic.size()) != 0)
    return damaged("it does not begin like an exported topic of version 1");
  const auto length = load_le<std::uint32_t>(head.data() + 8);
  if (length > topic_file_description_bytes_max)
    return damaged("its description does not verify");
  payload_.resize(length);
  if (auto filled = fill(payload_); !filled)
    return tl::unexpected{filled.error()};
  sum_ = load_le<std::uint32_t>(head.data() + 12);
  if (sum_ != sum_of_head(head, payload_))
    return damaged("its description does not verify");
  return std::string{as_text(payload_)};
}

result<std::optional<wire::fetched_batch>> topic_file_reader::next() {
  position_ = read_;
  std::array<std::byte, topic_file_piece_bytes> piece{};
  if (auto filled = fill(piece); !filled)
    return tl::unexpected{filled.error()};
  const auto kind = load_le<std::uint32_t>(piece.data());
  wire::batch_entry entry;
  entry.payload_length = load_le<std::uint32_t>(piece.data() + 4);
  entry.record_count = load_le<std::uint32_t>(piece.data() + 8);
  entry.offset = byte_offset{load_le<std::uint64_t>(piece.data() + 16)};
  entry.first_record = record_number{load_le<std::uint64_t>(piece.data() + 24)};
  entry.time_ns = load_le<std::uint64_t>(piece.data() + 32);
  const auto place = "batch " + std::to_string(batches_ + 1);
  if (entry.payload_length > wire::payload_bytes_max)
    return damaged(place + " does not verify");
  payload_.resize(entry.payload_length);
  if (auto filled = fill(payload_); !filled)
    return tl::unexpected{filled.error()};
  const auto sum = load_le<std::uint32_t>(piece.data() + sum_at);
  if (sum != sum_of_piece(sum_, piece, payload_))
    return damaged(place + " does not verify");
  sum_ = sum;
  const bool follows =
      !before_ || (entry.offset.value == before_->offset.value + before_->payload_length &&
                   entry.first_record.value == before_->first_record.value + before_->record_count);
  if ((kind != batch_piece && kind != end_piece) || !follows)
    return damaged(place + " does not follow the one before");
  if (kind == end_piece) {
    if (auto taken = take_end(entry); !taken)
      return tl::unexpected{taken.error()};
    return std::nullopt;
  }
  ++batches_;
  before_ = entry;
  return wire::fetched_batch{entry, payload_};
}

result<> topic_file_reader::take_end(const wire::batch_entry& entry) {
  end_ = {entry.offset, entry.first_record, entry.time_ns};
  if (end_.batches != batches_ || entry.payload_length != 0)
    return damaged("its end tells of " + std::to_string(end_.batches) + " batches, there are " +
                   std::to_string(batches_));
  std::array<std::byte, 1> more{};
  const auto got = from_(more);
  if (!got)
    return tl::unexpected{got.error()};
  if (*got == 0)
    return {};
  position_ = read_;
  return damaged("something follows its end");
}

} // namespace lance::client
