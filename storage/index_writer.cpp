#include "storage/index_writer.hpp"

#include "runtime/check.hpp"
#include "runtime/log.hpp"
#include "storage/index_file.hpp"

namespace lance::storage {

void index_writer::begin(std::unique_ptr<file> target, log_id log, segment_id segment,
                         std::size_t entries) {
  LANCE_CHECK(!busy_);
  target_ = std::move(target);
  log_ = log;
  segment_ = segment;
  written_ = entries;
}

void index_writer::end() {
  LANCE_CHECK(!busy_);
  target_.reset();
  written_ = 0;
}

void index_writer::write(const active_index& entries, std::size_t up_to) {
  if (busy_ || target_ == nullptr || written_ >= up_to)
    return;
  parts.clear();
  if (written_ == 0) {
    encode(header_of(log_, segment_, entries.entry(0)), header_.data());
    parts.push_back({0, header_, nullptr});
  }
  const auto bytes = entries.encoded(written_, up_to);
  parts.push_back({index_header_bytes + written_ * index_entry_bytes, bytes, nullptr});
  writing_to_ = written_ + bytes.size() / index_entry_bytes;
  busy_ = true;
  target_->write(*this);
}

void index_writer::written(result<> outcome) {
  busy_ = false;
  if (outcome) {
    written_ = writing_to_;
  } else {
    runtime::log(runtime::log_level::warning, "index_not_written",
                 {{"log", log_.value},
                  {"segment", segment_.first.value},
                  {"errno", outcome.error().system}});
    target_.reset();
  }
  done_();
}

} // namespace lance::storage
