#include "storage/segment.hpp"

#include "runtime/check.hpp"
#include "storage/layout.hpp"

namespace lance::storage {

segment::segment(const segment_facts& facts, std::unique_ptr<file> data,
                 std::unique_ptr<active_index> index)
    : facts_(facts), data_(std::move(data)), growing_(std::move(index)), index_(growing_.get()) {}

result<> segment::open(disk& door, const std::string& directory, bool direct) {
  if (is_open())
    return {};
  auto data = door.open(layout::join(directory, layout::closed_name(facts_.id, facts_.last_ns)),
                        {.direct = direct, .read_only = true});
  if (!data)
    return tl::unexpected(data.error());
  auto mapped = map_index(door, directory);
  if (!mapped)
    return tl::unexpected(mapped.error());
  data_ = std::move(*data);
  use_mapping(std::move(*mapped));
  return {};
}

result<std::unique_ptr<mapping>> segment::map_index(disk& door,
                                                    const std::string& directory) const {
  auto mapped = door.map(layout::join(directory, layout::index_name(facts_.id)));
  if (!mapped)
    return mapped;
  const auto header = decode_index_header((*mapped)->bytes());
  if (!header || header->first_number != facts_.id.first ||
      (*mapped)->bytes().size() != index_header_bytes + facts_.batches * index_entry_bytes)
    return fail(errc::bad_format);
  return mapped;
}

result<> segment::reload_index(disk& door, const std::string& directory) {
  LANCE_CHECK(growing_ == nullptr);
  if (!is_open())
    return {};
  auto mapped = map_index(door, directory);
  if (!mapped)
    return tl::unexpected(mapped.error());
  use_mapping(std::move(*mapped));
  return {};
}

void segment::release() noexcept {
  LANCE_CHECK(growing_ == nullptr);
  leave_page_cache();
  habit = {};
  data_.reset();
  index_ = nullptr;
  mapped_.reset();
  verified.clear(); // what is opened anew is verified anew
}

void segment::enter_page_cache(std::unique_ptr<file> buffered, reread_share share) {
  cached_ = std::move(buffered);
  share_ = std::move(share);
}

void segment::leave_page_cache() noexcept {
  cached_.reset();
  share_ = {};
}

void segment::add(const sealed_batch& batch) {
  LANCE_CHECK(growing_ != nullptr && batch.position == facts_.file_bytes, batch.position,
              facts_.file_bytes);
  growing_->add(entry_of(batch));
  if (facts_.batches == 0) {
    facts_.first_offset = batch.header.offset;
    facts_.first_record = batch.header.first_record;
  }
  ++facts_.batches;
  facts_.file_bytes = batch.file_end();
  facts_.last_ns = batch.header.append_time_ns;
  facts_.end_offset = batch.header.end_offset();
  facts_.end_record = batch.header.end_record();
}

std::unique_ptr<active_index> segment::become_closed(std::unique_ptr<mapping> index) {
  LANCE_CHECK(growing_ != nullptr);
  use_mapping(std::move(index));
  return std::move(growing_);
}

void segment::use_mapping(std::unique_ptr<mapping> index) {
  mapped_ = std::move(index);
  closed_ = encoded_index{mapped_->bytes().subspan(index_header_bytes)};
  index_ = &closed_;
}

} // namespace lance::storage
