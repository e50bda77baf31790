#include "storage/zero_writer.hpp"

#include <algorithm>

#include "runtime/check.hpp"
#include "storage/options.hpp"
#include "storage/segment_files.hpp"

namespace lance::storage {

namespace {

// Written at once: about half a millisecond, the longest a group can be held up by it.
constexpr std::uint64_t piece_bytes = 1 * MiB;

} // namespace

void zero_writer::begin(file& target, std::uint64_t written_to) noexcept {
  target_ = &target;
  written_to_ = align_up(written_to, block_bytes);
}

void zero_writer::reached(std::uint64_t position) noexcept {
  written_to_ = std::max(written_to_, align_up(position, block_bytes));
}

void zero_writer::write(std::uint64_t up_to) {
  if (busy_ || target_ == nullptr || written_to_ >= up_to)
    return;
  parts.clear();
  begin_ = written_to_;
  end_ = std::min(up_to, begin_ + piece_bytes);
  for (auto at = begin_; at < end_; at += zeros().size())
    parts.push_back(
        {at, zeros().first(std::min<std::uint64_t>(zeros().size(), end_ - at)), nullptr});
  busy_ = true;
  target_->write(*this);
}

void zero_writer::written(result<> outcome) {
  busy_ = false;
  if (outcome)
    reached(end_);
  else
    target_ = nullptr;
  done_();
}

} // namespace lance::storage
