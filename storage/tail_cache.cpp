#include "storage/tail_cache.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace lance::storage {

tail_line::~tail_line() {
  clear();
}

void tail_line::clear() {
  for (std::size_t i = 0; i < home_.order_.size(); ++i)
    if (home_.order_[i] == this)
      home_.order_[i] = nullptr;
  while (!entries_.empty())
    home_.held_bytes_ -= entries_.pop().chunk.buffer.size();
}

void tail_line::add(segment_id segment, const image_chunk& chunk, std::uint64_t begin,
                    std::uint64_t end) {
  if (!entries_.empty()) {
    auto& newest = entries_.back();
    if (newest.chunk.buffer.data() == chunk.buffer.data() && newest.segment == segment) {
      newest.end = std::max(newest.end, end);
      return;
    }
  }
  const auto bytes = chunk.buffer.size();
  if (bytes > home_.budget_bytes_)
    return;
  home_.shrink_to(home_.budget_bytes_ - bytes);
  entries_.push({segment, chunk.share(), begin, end});
  home_.order_.push(this);
  home_.held_bytes_ += bytes;
}

byte_view tail_line::find(segment_id segment, std::uint64_t position) const noexcept {
  for (auto i = entries_.size(); i-- > 0;) { // the later chunk counts, and followers are near it
    const auto& known = entries_[i];
    if (known.segment == segment && position >= known.begin && position < known.end)
      return {known.chunk.buffer.data() + (position - known.chunk.file_begin),
              known.end - position};
  }
  return {};
}

void tail_line::drop_oldest() {
  LANCE_CHECK(!entries_.empty());
  home_.held_bytes_ -= entries_.pop().chunk.buffer.size();
}

void tail_cache::shrink_to(std::uint64_t bytes) {
  while (held_bytes_ > bytes) {
    auto* line = order_.pop();
    if (line != nullptr)
      line->drop_oldest();
  }
}

} // namespace lance::storage
