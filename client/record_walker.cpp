#include "client/record_walker.hpp"

#include <algorithm>

namespace lance::client {

void record_walker::start_at(byte_offset from, record_number from_record) {
  from_ = position_ = fed_ = stream_at_ = from;
  from_record_ = from_record;
  batches_.reset();
  reader_.reset();
  stream_.clear();
  stream_used_ = 0;
}

bool record_walker::wanted(const record& found) const noexcept {
  return found.offset >= from_ && (!found.number || *found.number >= from_record_);
}

// --- batches -------------------------------------------------------------------------------------

void record_walker::feed(const wire::batches_view& batches) {
  batches_ = batches;
  fed_ = std::max(fed_, batches.head().next);
}

bool record_walker::take_batch() {
  const auto batch = batches_ ? batches_->next() : std::nullopt;
  if (!batch) {
    batches_.reset();
    return false;
  }
  entry_ = batch->entry;
  payload_ = batch->payload;
  return true;
}

std::optional<record> record_walker::next_in_batch() {
  while (true) {
    if (!reader_) {
      if (!take_batch())
        return std::nullopt;
      const auto count = form_ == framing::records ? count_records(payload_) : std::nullopt;
      if (!count) {
        if (auto whole = raw_batch())
          return whole;
        continue;
      }
      numbered_ = *count == entry_.record_count;
      reader_.emplace(payload_);
    }
    const byte_offset at{entry_.offset.value + reader_->valid_bytes()};
    const auto index = reader_->records();
    const auto found = reader_->next();
    if (!found) {
      reader_.reset();
      continue;
    }
    auto told = decode_record(*found);
    told.offset = at;
    told.time_ns = entry_.time_ns;
    if (numbered_)
      told.number = record_number{entry_.first_record.value + index};
    position_ = byte_offset{entry_.offset.value + reader_->valid_bytes()};
    if (wanted(told))
      return told;
  }
}

std::optional<record> record_walker::raw_batch() {
  const auto begin = entry_.offset.value;
  position_ = byte_offset{begin + payload_.size()};
  if (position_ <= from_)
    return std::nullopt;
  const auto before = from_.value > begin ? from_.value - begin : 0;
  record whole;
  whole.type = record_type::raw;
  whole.value = payload_.subspan(static_cast<std::size_t>(before));
  whole.offset = byte_offset{begin + before};
  whole.number = entry_.first_record;
  whole.time_ns = entry_.time_ns;
  // Its number says where the batch begins; with a count it holds records up to the next batch.
  const auto after = entry_.first_record.value + std::max<std::uint32_t>(entry_.record_count, 1);
  return after > from_record_.value ? std::optional{whole} : std::nullopt;
}

// --- stream --------------------------------------------------------------------------------------

void record_walker::feed_stream(byte_offset at, byte_view data) {
  stream_.erase(stream_.begin(), stream_.begin() + static_cast<std::ptrdiff_t>(stream_used_));
  stream_at_ = byte_offset{stream_at_.value + stream_used_};
  stream_used_ = 0;
  if (at.value != stream_at_.value + stream_.size()) {
    stream_.clear();
    stream_at_ = position_ = at;
  }
  stream_.insert(stream_.end(), data.begin(), data.end());
  fed_ = byte_offset{at.value + data.size()};
}

result<std::optional<record>> record_walker::next_in_stream() {
  const auto rest = byte_view{stream_}.subspan(stream_used_);
  if (rest.empty())
    return std::nullopt;
  record told;
  if (form_ == framing::raw) {
    told.type = record_type::raw;
    told.value = rest;
    stream_used_ = stream_.size();
  } else {
    wire::tlv_reader reader{rest};
    const auto found = reader.next();
    if (!found && reader.state() == wire::tlv_state::too_large)
      return fail(errc::bad_format);
    if (!found)
      return std::nullopt;
    told = decode_record(*found);
    stream_used_ += reader.valid_bytes();
  }
  told.offset = position_;
  position_ = byte_offset{stream_at_.value + stream_used_};
  return told;
}

result<std::optional<record>> record_walker::next() {
  if (batches_ || reader_) {
    auto found = next_in_batch();
    if (!found) // gaps and control batches leave no record
      position_ = std::max(position_, fed_);
    return found;
  }
  return next_in_stream();
}

} // namespace lance::client
