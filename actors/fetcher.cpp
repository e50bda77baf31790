#include "actors/fetcher.hpp"

#include <algorithm>
#include <cstring>

#include "runtime/check.hpp"

namespace lance::actors {

namespace {

/// Batches of one FetchBatches reply: their entries stay within half a reply buffer.
constexpr std::size_t fetch_batches_max = 4096;

} // namespace

bool fetcher::should_wait(const read_request& request, const storage::log& log) {
  if (request.kind != read_kind::batches || request.max_wait_ms == 0)
    return false;
  const auto end = log.durable_end().value;
  const auto start = std::max(request.start, log.start_offset()).value;
  const auto wanted = std::max<std::uint64_t>(request.min_bytes, 1);
  return start <= end && end - start < wanted;
}

bool fetcher::begin(runtime::message_ref<read_request>& request,
                    runtime::message_ref<read_reply>& reply, storage::log& log,
                    std::uint32_t buffers) {
  const auto& wanted = *request;
  LANCE_CHECK(!request_);
  log_ = &log;
  most_ = buffers * replies_.buffer_bytes() - reply_headroom;
  auto& answer = *reply;
  answer.to = wanted.from;
  answer.log = wanted.log;
  answer.kind = wanted.kind;
  answer.start = wanted.start;
  answer.next = wanted.start;
  answer.end = log.durable_end();
  answer.start_record = record_number{};
  answer.received_ns = wanted.received_ns;
  answer.done = true;
  answer.damaged = answer.damaged_end = byte_offset{};
  entries_.clear();

  result<plan> planned{plan{}};
  request_ = std::move(request);
  reply_ = std::move(reply);
  if (request_->kind == read_kind::bytes)
    planned = plan_bytes();
  else if (request_->kind == read_kind::batches)
    planned = plan_batches();
  else {
    look_up();
    return true;
  }
  if (!planned) {
    end(false, planned.error().code);
    return true;
  }
  if (planned->begin == planned->end) {
    end(true);
    return true;
  }
  const auto bytes = planned->bytes();
  if (bytes + reply_headroom > std::uint64_t{replies_.count()} * replies_.buffer_bytes()) {
    end(false, errc::too_large); // one batch, larger than all reply buffers together: never fits
    return true;
  }
  if (!reserve(bytes)) {
    request = std::move(request_);
    reply = std::move(reply_);
    return false;
  }
  fill(*planned);
  return true;
}

void fetcher::fill(const plan& planned) {
  at_ = planned.begin;
  end_ = planned.end;
  begin_filling();
}

// From the beginning of the reply: the entries, and then what they speak of.
void fetcher::begin_filling() {
  filling_ = 0;
  filled_ = 0;
  begin_ = at_;
  for (const auto& entry : entries_) {
    const auto encoded = wire::encode(entry);
    std::memcpy(reply_->buffers[0].data() + reply_headroom + filled_, encoded.data(),
                encoded.size());
    filled_ += static_cast<std::uint32_t>(encoded.size());
  }
  read_on();
}

// Retention has taken what was to be read before it was: what is there goes, or all begins anew at
// the log's new start, in the buffers that are here.
void fetcher::go_on_after_retention() {
  auto& buffers = reply_->buffers;
  const auto keep = [&](std::size_t count) {
    buffers.erase(buffers.begin() + static_cast<std::ptrdiff_t>(count), buffers.end());
    reply_->sizes.resize(count);
  };
  if (request_->kind == read_kind::bytes && (filling_ > 0 || filled_ > 0)) {
    reply_->next = at_;
    keep(filling_ + (filled_ > 0 ? 1U : 0U));
    return end(true);
  }
  most_ = static_cast<std::uint32_t>(buffers.size()) * replies_.buffer_bytes() - reply_headroom;
  entries_.clear();
  const auto planned = request_->kind == read_kind::bytes ? plan_bytes() : plan_batches();
  if (!planned)
    return end(false, planned.error().code);
  if (planned->bytes() > most_)
    return end(false, errc::throttled); // a large batch is next; asked again, it gets its buffers
  const auto each = replies_.buffer_bytes();
  const bool nothing = planned->begin == planned->end;
  keep(nothing ? 0 : (planned->bytes() + reply_headroom + each - 1) / each);
  std::fill(reply_->sizes.begin(), reply_->sizes.end(), 0);
  if (nothing)
    return end(true);
  fill(*planned);
}

void fetcher::look_up() {
  auto& answer = *reply_;
  auto& log = *log_;
  if (request_->kind == read_kind::end_only) {
    answer.next = answer.end;
    end(true);
    return;
  }
  const auto to_end = [&] {
    answer.next = log.durable_end();
    answer.start_record = log.durable_records();
    answer.time_ns = 0;
    end(true);
  };
  const auto to_batch = [&](const result<storage::located_batch>& found) {
    if (!found)
      return end(false, found.error().code);
    answer.next = found->entry.offset;
    answer.start_record = found->entry.first_record;
    answer.time_ns = found->entry.append_time_ns;
    end(true);
  };
  const auto value = request_->lookup_value;
  switch (request_->lookup) {
  case wire::lookup_kind::latest:
    return to_end();
  case wire::lookup_kind::earliest:
    if (log.start_offset() == log.durable_end())
      return to_end();
    return to_batch(log.find_offset(log.start_offset()));
  case wire::lookup_kind::record:
    if (value >= log.durable_records().value)
      return to_end(); // not written yet: the next batch, or a later one, will hold it
    return to_batch(log.find_record(record_number{std::max(value, log.start_record().value)}));
  case wire::lookup_kind::time_ns: {
    const auto found = log.find_time(value);
    if (!found && found.error().code == errc::offset_out_of_range)
      return to_end(); // nothing that young: the next batch will be
    return to_batch(found);
  }
  }
}

result<fetcher::plan> fetcher::plan_bytes() {
  const auto visible = log_->durable_end();
  if (request_->start > visible) {
    reply_->catching_up = true;
    return plan{};
  }
  const auto begin = std::max(request_->start, log_->start_offset());
  const auto most = std::min<std::uint64_t>(request_->max_bytes, most_);
  const auto end = byte_offset{std::min(visible.value, begin.value + most)};
  // Nothing at all asked for: the offset is repeated, also below the log's start.
  reply_->next = most == 0 ? request_->start : end;
  return plan{begin, std::max(begin, end), 0};
}

result<fetcher::plan> fetcher::plan_batches() {
  const auto visible = log_->durable_end();
  if (request_->start > visible)
    return fail(errc::offset_out_of_range);
  const auto from = std::max(request_->start, log_->start_offset());
  reply_->start_record = log_->durable_records();
  reply_->next = from;
  if (from == visible)
    return plan{};
  auto found = log_->find_offset(from);
  if (!found)
    return tl::unexpected{found.error()};
  std::uint64_t bytes = 0;
  const auto begin = found->entry.offset;
  auto end = begin;
  reply_->start_record = found->entry.first_record;
  while (entries_.size() < fetch_batches_max) {
    const auto& entry = found->entry;
    if (entry.control) { // our own, not the client's
      found = log_->find_number(batch_number{found->number.value + 1});
      if (!found)
        break;
      continue;
    }
    const auto more = wire::batch_entry_bytes + entry.payload_length;
    if (!entries_.empty() && bytes + more > std::min<std::uint64_t>(request_->max_bytes, most_))
      break;
    bytes += more;
    entries_.push_back({entry.offset, entry.first_record, entry.append_time_ns, entry.record_count,
                        entry.payload_length});
    end = byte_offset{entry.offset.value + entry.payload_length};
    if (end >= visible)
      break;
    found = log_->find_number(batch_number{found->number.value + 1});
    if (!found || found->entry.offset != end) // an index that does not add up: the reader will see
      break;
  }
  reply_->next = end;
  reply_->batch_count = static_cast<std::uint32_t>(entries_.size());
  return plan{begin, end, static_cast<std::uint32_t>(entries_.size() * wire::batch_entry_bytes)};
}

bool fetcher::reserve(std::uint64_t bytes) {
  const auto each = replies_.buffer_bytes();
  const auto wanted = (bytes + reply_headroom + each - 1) / each;
  auto& buffers = reply_->buffers;
  if (!replies_.can_take(static_cast<std::uint32_t>(wanted)))
    return false;
  while (buffers.size() < wanted) {
    auto buffer = replies_.take();
    if (!buffer) {
      buffers.clear(); // all or none, so that two large replies never wait for each other
      return false;
    }
    buffers.push_back(std::move(buffer));
  }
  reply_->sizes.assign(wanted, 0);
  return true;
}

void fetcher::read_on() {
  auto& buffer = reply_->buffers[filling_];
  const auto front = (filling_ == 0 ? reply_headroom : 0) + filled_;
  const auto room = std::min<std::uint64_t>(buffer.size() - front, end_.value - at_.value);
  shape = storage::read_shape::bytes;
  storage::read_operation::start = at_;
  into = {buffer.data() + front, room};
  reader_.start(*this, *log_);
}

void fetcher::finished(result<storage::read_outcome> outcome) {
  const bool gone =
      outcome ? outcome->start > at_ : outcome.error().code == errc::offset_out_of_range;
  if (gone && at_ < log_->start_offset())
    return go_on_after_retention();
  if (!outcome && outcome.error().code == errc::corrupt)
    return end_before_damage();
  if (!outcome)
    return end(false, outcome.error().code);
  if (outcome->bytes == 0)
    return end(false, errc::internal); // planned within what is durable: there must be something
  filled_ += outcome->bytes;
  at_ = outcome->next;
  reply_->sizes[filling_] = filled_;
  if (at_ >= end_)
    return end(true);
  const auto front = filling_ == 0 ? reply_headroom : 0;
  if (front + filled_ == reply_->buffers[filling_].size()) {
    ++filling_;
    filled_ = 0;
  }
  read_on();
}

// What is whole before a damaged batch is answered; only who asks for the batch itself is refused.
void fetcher::end_before_damage() {
  auto& answer = *reply_;
  if (damaged) {
    answer.damaged = damaged->offset;
    answer.damaged_end = damaged->end;
  }
  if (at_ == begin_)
    return end(false, errc::corrupt);
  if (request_->kind == read_kind::bytes) {
    answer.next = at_;
    return end(true);
  }
  // The entries stand in front of the data, and are fewer now: once more, up to here.
  std::erase_if(entries_, [&](const auto& entry) { return entry.offset >= at_; });
  answer.batch_count = static_cast<std::uint32_t>(entries_.size());
  answer.next = end_ = byte_offset{entries_.back().offset.value + entries_.back().payload_length};
  at_ = begin_;
  std::fill(answer.sizes.begin(), answer.sizes.end(), 0U);
  begin_filling();
}

void fetcher::end(bool done, errc refusal) {
  reply_->done = done;
  reply_->refusal = refusal;
  auto& sizes = reply_->sizes;
  if (!done) {
    reply_->buffers.clear();
    sizes.clear();
  }
  while (!sizes.empty() && sizes.back() == 0) { // ended sooner than was planned
    sizes.pop_back();
    reply_->buffers.pop_back();
  }
  owner_.fetched(*this);
}

} // namespace lance::actors
