#include "storage/commit_queue.hpp"

#include "runtime/check.hpp"

namespace lance::storage {

void commit_queue::push(sealed_run& run) {
  for (auto& chunk : run.chunks) {
    const auto end = std::min(run.end, chunk.file_capacity_end());
    add_chunk(run.segment, std::move(chunk), end);
  }
  for (const auto& batch : run.batches) {
    LANCE_CHECK(batches_.empty() ||
                    batches_.back().header.number.value + 1 == batch.header.number.value,
                batch.header.number.value);
    bytes_ += batch.header.image_bytes();
    batches_.push(batch);
  }
  run.clear();
}

void commit_queue::add_chunk(segment_id segment, image_chunk&& chunk, std::uint64_t end) {
  if (!chunks_.empty()) {
    auto& newest = chunks_.back();
    if (newest.segment == segment && newest.chunk.buffer.data() == chunk.buffer.data() &&
        newest.chunk.file_begin == chunk.file_begin) {
      newest.end = std::max(newest.end, end);
      return;
    }
  }
  const auto begin = chunk.file_begin;
  chunks_.push({segment, std::move(chunk), begin, end});
}

commit_group commit_queue::next(std::uint64_t group_bytes) const noexcept {
  LANCE_CHECK(!empty());
  const auto& first = batches_.front();
  commit_group group{first.segment, first.header.has(batch_flag::starts_segment), 1, first.position,
                     first.file_end()};
  while (group.batches < batches_.size()) {
    const auto& more = batches_[group.batches];
    if (more.segment != group.segment || more.file_end() - group.begin > group_bytes)
      break;
    LANCE_CHECK(more.position == group.end, more.position, group.end);
    group.end = more.file_end();
    ++group.batches;
  }
  return group;
}

void commit_queue::cut(const commit_group& group, std::vector<write_part>& parts) const {
  auto at = group.write_begin();
  for (std::size_t i = 0; i < chunks_.size() && at < group.write_end(); ++i) {
    const auto& known = chunks_[i];
    if (known.segment != group.segment)
      break;
    auto end = std::min(known.chunk.file_capacity_end(), group.write_end());
    if (i + 1 < chunks_.size() && chunks_[i + 1].segment == group.segment)
      end = std::min(end, chunks_[i + 1].chunk.file_begin);
    if (end <= at)
      continue;
    LANCE_CHECK(known.chunk.file_begin <= at, known.chunk.file_begin, at);
    const auto& buffer = known.chunk.buffer;
    parts.push_back({at, {buffer.data() + (at - known.chunk.file_begin), end - at}, buffer.home()});
    at = end;
  }
  LANCE_CHECK(at == group.write_end(), at, group.write_end());
}

void commit_queue::clear() {
  batches_.clear();
  chunks_.clear();
  bytes_ = 0;
}

byte_view commit_queue::find(segment_id segment, std::uint64_t position) const noexcept {
  for (auto i = chunks_.size(); i-- > 0;) {
    const auto& known = chunks_[i];
    if (known.segment == segment && position >= known.begin && position < known.end)
      return {known.chunk.buffer.data() + (position - known.chunk.file_begin),
              known.end - position};
  }
  return {};
}

} // namespace lance::storage
