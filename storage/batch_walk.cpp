#include "storage/batch_walk.hpp"

#include <algorithm>

#include "runtime/plant.hpp"

namespace lance::storage {

// Whole batches are read in pieces where a byte is cheapest; headers alone by a few pages.
batch_walk::batch_walk(file& data, log_id log, segment_id segment, bool verify_payloads)
    : data_(data), log_(log), segment_(segment), verify_payloads_(verify_payloads),
      previous_crc_(chain_seed(log, segment.first)), next_number_(segment.first),
      buffer_capacity_(verify_payloads ? 256 * KiB : 16 * KiB) {
  buffer_ = std::make_unique_for_overwrite<std::byte[]>(buffer_capacity_);
}

void batch_walk::skip_to_after(std::size_t number, const index_entry& known) noexcept {
  position_ = known.file_end();
  previous_crc_ = known.header_crc;
  next_number_ = batch_number{segment_.first.value + number + 1};
  previous_ = known;
}

result<std::optional<sealed_batch>> batch_walk::next() {
  const auto bytes = window(position_, batch_header_bytes);
  if (!bytes)
    return tl::unexpected(bytes.error());
  const auto header = decode(*bytes);
  if (!header || !chained(*bytes, previous_crc_) || !follows(*header))
    return std::nullopt;
  const auto whole = payload_holds(*header);
  if (!whole)
    return tl::unexpected(whole.error());
  if (!*whole)
    return std::nullopt;
  const sealed_batch batch{*header, segment_, position_};
  position_ = batch.file_end();
  previous_crc_ = header->header_crc;
  previous_ = entry_of(batch);
  next_number_ = batch_number{next_number_.value + 1};
  return batch;
}

bool batch_walk::follows(const batch_header& header) const noexcept {
  const bool first = position_ == 0;
  if (header.log != log_ || header.number != next_number_ ||
      header.has(batch_flag::starts_segment) != first)
    return false;
  if (first)
    return header.append_time_ns == segment_.first_ns;
  return header.offset == previous_.end_offset() && header.first_record == previous_.end_record() &&
         header.append_time_ns >= previous_.append_time_ns && header.in_term >= previous_.in_term &&
         header.key > previous_.key;
}

// With payloads unverified, true if the file is long enough.
result<bool> batch_walk::payload_holds(const batch_header& header) {
  auto at = position_ + batch_header_bytes;
  const auto end = at + header.payload_length;
  if (!verify_payloads_ || runtime::planted(runtime::plant::checksum_unchecked)) {
    const auto size = data_.size();
    if (!size)
      return tl::unexpected(size.error());
    return end <= *size;
  }
  std::uint32_t sum = 0;
  while (at < end) {
    const auto bytes = window(at, 1);
    if (!bytes)
      return tl::unexpected(bytes.error());
    if (bytes->empty())
      return false;
    const auto some = bytes->first(std::min<std::uint64_t>(bytes->size(), end - at));
    sum = wire::checksum_update(header.payload_sum(), sum, some);
    at += some.size();
  }
  return sum == header.payload_crc;
}

// At least `wanted` bytes from `position` on, fewer only where the file ends.
result<byte_view> batch_walk::window(std::uint64_t position, std::size_t wanted) {
  const auto buffer_end = buffer_begin_ + buffer_size_;
  if (position < buffer_begin_ || position + wanted > buffer_end) {
    const auto got = data_.read_now(position, {buffer_.get(), buffer_capacity_});
    if (!got)
      return tl::unexpected(got.error());
    buffer_begin_ = position;
    buffer_size_ = *got;
  }
  const auto skip = position - buffer_begin_;
  return byte_view{buffer_.get() + skip, buffer_size_ - skip};
}

} // namespace lance::storage
