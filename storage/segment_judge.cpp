#include "storage/segment_judge.hpp"

#include <algorithm>
#include <cstring>

#include "storage/index_file.hpp"

namespace lance::storage {

segment_judge::segment_judge(log_id log, const segment_facts& facts, byte_view index_file,
                             listener each)
    : log_(log), facts_(facts), index_file_(index_file), each_(std::move(each)),
      previous_crc_(chain_seed(log, facts.id.first)) {
  const auto expected = index_header_bytes + facts.batches * index_entry_bytes;
  verdict_.index_wrong = index_file.size() != expected;
  if (index_file.size() > index_header_bytes) {
    const auto entries = (index_file.size() - index_header_bytes) / index_entry_bytes;
    index_ = encoded_index{index_file.subspan(index_header_bytes, entries * index_entry_bytes)};
  }
}

void segment_judge::feed(byte_view bytes) {
  while (!bytes.empty()) {
    if (verdict_.lost_way) {
      position_ += bytes.size();
      return;
    }
    if (!in_payload_) {
      const auto some = std::min(bytes.size(), head_.size() - head_size_);
      std::memcpy(head_.data() + head_size_, bytes.data(), some);
      head_size_ += some;
      position_ += some;
      bytes = bytes.subspan(some);
      if (head_size_ == head_.size())
        take_header();
    } else {
      const auto some = std::min<std::uint64_t>(bytes.size(), payload_left_);
      if (current_.header_holds)
        sum_ = wire::checksum_update(kind_, sum_, bytes.first(some));
      payload_left_ -= some;
      position_ += some;
      bytes = bytes.subspan(some);
    }
    if (!verdict_.lost_way && in_payload_ && payload_left_ == 0)
      end_batch();
  }
}

bool segment_judge::holds(const batch_header& header) const noexcept {
  const bool first = verdict_.batches == 0;
  if (!chained(head_, previous_crc_) || header.log != log_ || header.number != number() ||
      header.has(batch_flag::starts_segment) != first ||
      position_ + header.payload_length > facts_.file_bytes)
    return false;
  if (first)
    return header.append_time_ns == facts_.id.first_ns;
  return header.offset == previous_.end_offset() && header.first_record == previous_.end_record() &&
         header.append_time_ns >= previous_.append_time_ns && header.in_term >= previous_.in_term &&
         header.key > previous_.key;
}

void segment_judge::take_header() {
  const auto header = decode(head_);
  in_payload_ = true;
  sum_ = 0;
  current_ = {};
  current_.number = number();
  if (!header || !holds(*header))
    return take_unreadable_header();
  current_.header_holds = true;
  current_.flags = header->flags;
  current_.entry = entry_of({*header, facts_.id, position_ - batch_header_bytes});
  kind_ = header->payload_sum();
  expected_sum_ = header->payload_crc;
  payload_left_ = header->payload_length;
  if (verdict_.batches == 0)
    compare_index_header(current_.entry);
  compare_index_entry(current_.entry);
}

// Its length and what the next one chains over are known from the index, or not at all.
void segment_judge::take_unreadable_header() {
  if (verdict_.batches >= index_.size() || !leads_on(index_.entry(verdict_.batches)))
    return lose_way();
  current_.entry = index_.entry(verdict_.batches);
  current_.flags = current_.entry.control ? batch_flag::control : std::uint16_t{0};
  payload_left_ = current_.entry.payload_length;
}

bool segment_judge::leads_on(const index_entry& entry) const noexcept {
  const bool first = verdict_.batches == 0;
  if (entry.position != position_ - batch_header_bytes || entry.file_end() > facts_.file_bytes)
    return false;
  if (!first && (entry.offset != previous_.end_offset() ||
                 entry.first_record != previous_.end_record() || entry.key <= previous_.key))
    return false;
  if (verdict_.batches + 1 == index_.size())
    return entry.file_end() == facts_.file_bytes;
  const auto next = index_.entry(verdict_.batches + 1);
  return next.position == entry.file_end() && next.offset == entry.end_offset() &&
         next.first_record == entry.end_record() && next.key > entry.key;
}

void segment_judge::end_batch() {
  current_.whole = current_.header_holds && sum_ == expected_sum_;
  previous_ = current_.entry;
  previous_crc_ = current_.entry.header_crc;
  if (!current_.whole)
    note(current_.entry);
  if (each_)
    each_(current_);
  ++verdict_.batches;
  in_payload_ = false;
  head_size_ = 0;
}

void segment_judge::note(const index_entry& entry) {
  ++verdict_.damaged_count;
  if (verdict_.damaged.size() < damaged_batches_max)
    verdict_.damaged.push_back({current_.number, entry.offset, entry.end_offset()});
}

void segment_judge::lose_way() {
  verdict_.lost_way = true;
  verdict_.index_wrong = true;
  index_entry rest;
  rest.offset = verdict_.batches == 0 ? facts_.first_offset : previous_.end_offset();
  rest.payload_length = static_cast<std::uint32_t>(facts_.end_offset.value -
                                                   std::min(rest.offset, facts_.end_offset).value);
  note(rest);
}

void segment_judge::finish() {
  if (verdict_.lost_way)
    return;
  if (in_payload_ || head_size_ > 0 || verdict_.batches < facts_.batches) {
    current_.number = number();
    lose_way(); // the file is shorter than it was
  } else if (verdict_.batches != facts_.batches) {
    verdict_.index_wrong = true;
  }
}

void segment_judge::compare_index_header(const index_entry& first) {
  std::array<std::byte, index_header_bytes> expected{};
  encode(header_of(log_, facts_.id, first), expected.data());
  if (index_file_.size() < expected.size() ||
      std::memcmp(index_file_.data(), expected.data(), expected.size()) != 0)
    verdict_.index_wrong = true;
}

void segment_judge::compare_index_entry(const index_entry& entry) {
  std::array<std::byte, index_entry_bytes> expected{};
  encode(entry, expected.data());
  const auto at = index_header_bytes + verdict_.batches * index_entry_bytes;
  if (index_file_.size() < at + expected.size() ||
      std::memcmp(index_file_.data() + at, expected.data(), expected.size()) != 0)
    verdict_.index_wrong = true;
}

} // namespace lance::storage
