#include "storage/appender.hpp"

#include <algorithm>
#include <utility>

#include "runtime/check.hpp"
#include "runtime/plant.hpp"

namespace lance::storage {

using runtime::plant;
using runtime::planted;

namespace {

std::uint64_t length_of(std::span<const byte_view> pieces) noexcept {
  std::uint64_t sum = 0;
  for (const auto& piece : pieces)
    sum += piece.size();
  return sum;
}

} // namespace

struct appender::place {
  bool rolls = false;
  std::uint64_t position = 0;
};

appender::appender(const append_start& start, const options& chosen, runtime::buffer_pool& pool,
                   stamp_identity identity)
    : at_(start), options_(chosen), pool_(pool), identity_(identity),
      keys_(identity.node, identity.actor, start.last_key), term_(start.last_term),
      grant_(start.grant), producers_(start.producers) {
  LANCE_CHECK(pool.buffer_bytes() >= block_bytes && pool.buffer_bytes() % block_bytes == 0,
              pool.buffer_bytes());
  reserved_.reserve(chosen.payload_bytes_max / pool.buffer_bytes() + 2);
}

result<sealed_batch> appender::append(const append_request& request) {
  const auto length = length_of(request.payload);
  const bool control = (request.flags & batch_flag::control) != 0;
  if (length > options_.payload_bytes_max)
    return fail(errc::too_large);
  if ((length == 0 && !control) || (control && request.record_count != 0) ||
      (request.flags & ~(batch_flag::control | batch_flag::source_compressed)) != 0)
    return fail(errc::invalid_request);
  const auto where = find_place(batch_header_bytes + length, rolling::when_ready);
  if (!where)
    return tl::unexpected(where.error());
  if (const auto ready = reserve(*where, batch_header_bytes + length); !ready)
    return tl::unexpected(ready.error());

  batch_header header;
  header.payload_length = static_cast<std::uint32_t>(length);
  stamp(header, request);
  if (where->rolls)
    header.flags |= batch_flag::starts_segment;
  return seal(*where, header, nullptr, request.payload);
}

result<sealed_batch> appender::append_copy(byte_view encoded, std::span<const byte_view> payload) {
  auto decoded = decode(encoded);
  if (!decoded)
    return tl::unexpected(decoded.error());
  auto& header = *decoded;
  const bool rolls = header.has(batch_flag::starts_segment);
  const auto previous = rolls ? chain_seed(at_.log, at_.next_number) : at_.previous_crc;
  if (header.log != at_.log || header.number != at_.next_number ||
      header.offset != at_.next_offset || header.first_record != at_.next_record ||
      header.in_term < at_.last_term || header.append_time_ns < at_.last_time_ns ||
      header.key <= at_.last_key || (!rolls && !at_.in_segment) ||
      length_of(payload) != header.payload_length || !chained(encoded, previous))
    return fail(errc::bad_format);
  const auto where = find_place(header.image_bytes(), rolls ? rolling::now : rolling::never);
  if (!where)
    return tl::unexpected(where.error());
  if (where->rolls && !rolls)
    return fail(errc::bad_format); // longer than our segments: the configurations differ
  if (const auto ready = reserve(*where, header.image_bytes()); !ready)
    return tl::unexpected(ready.error());
  keys_ = wire::sort_key_source{identity_.node, identity_.actor, header.key};
  return seal(*where, header, encoded.data(), payload);
}

producer_judgement appender::judge(const producer_stamp& stamp, std::uint64_t wall_ns) {
  if (!takes_batches())
    return {};
  auto judged = producers_.judge(stamp);
  if (judged.verdict == producer_verdict::fresh &&
      !producers_.make_room(stamp, std::max(wall_ns, at_.last_time_ns)))
    judged.verdict = producer_verdict::no_room;
  if (judged.verdict == producer_verdict::duplicate && planted(plant::duplicate_appended))
    judged.verdict = producer_verdict::fresh;
  if (judged.verdict == producer_verdict::gap && planted(plant::gap_taken))
    judged.verdict = producer_verdict::fresh;
  return judged;
}

bool appender::collect(sealed_run& into) {
  into.clear();
  auto& next = finished_.empty() ? filling_ : finished_;
  if (next.empty())
    return false;
  std::swap(into, next);
  return true;
}

std::optional<segment_id> appender::end_segment() noexcept {
  if (!at_.in_segment)
    return std::nullopt;
  at_.in_segment = false;
  head_.buffer.reset();
  return at_.segment;
}

void appender::set_term(term now) {
  LANCE_CHECK(now >= term_, now.value, term_.value);
  term_ = now;
}

append_start appender::hand_over() {
  LANCE_CHECK(filling_.empty() && finished_.empty());
  (void)release_idle();
  at_.producers = std::move(producers_);
  at_.grant = std::exchange(grant_, {.state = log_state::closed});
  return at_;
}

bool appender::release_idle() {
  if (!head_.buffer || !filling_.empty() || !finished_.empty())
    return false;
  const auto block = align_down(at_.position, block_bytes);
  if (at_.position > block)
    std::memcpy(at_.tail.data(), head_.buffer.data() + (block - head_.file_begin),
                at_.position - block);
  head_.buffer.reset();
  return true;
}

// Where a batch of `image_bytes` goes, judged by the newest grant; nothing is changed.
result<appender::place> appender::find_place(std::uint64_t image_bytes, rolling wish) const {
  if (!takes_batches() || grant_.state == log_state::stalled)
    return fail(errc::read_only);
  const auto no_more =
      fail(grant_.state == log_state::no_space ? errc::read_only : errc::exhausted);
  const bool ahead = at_.segments_begun > grant_.segment; // of what the poller knew when it granted
  const bool next_ready = !ahead && grant_.next_limit >= image_bytes && finished_.empty();
  const bool rolls = wish == rolling::now ||
                     (wish == rolling::when_ready && next_ready && at_.position >= grant_.roll_at);
  if (at_.in_segment && !rolls && at_.position + image_bytes <= options_.segment_bytes) {
    const auto limit = ahead ? grant_.next_limit : grant_.limit;
    if (at_.position + image_bytes > limit)
      return no_more;
    return place{false, at_.position};
  }
  if (ahead || grant_.next_limit < image_bytes)
    return no_more;
  if (!finished_.empty())
    return fail(errc::exhausted);
  return place{true, 0};
}

// Takes every buffer the batch will need, or none.
result<> appender::reserve(const place& where, std::uint64_t image_bytes) {
  LANCE_CHECK(reserved_.empty());
  const bool fresh = where.rolls || !head_.buffer;
  const auto in_block = where.position % block_bytes;
  const auto room = fresh ? 0 : head_.file_capacity_end() - where.position;
  const auto missing = fresh ? image_bytes + in_block : image_bytes - std::min(room, image_bytes);
  const auto wanted = (missing + pool_.buffer_bytes() - 1) / pool_.buffer_bytes();
  if (!pool_.can_take(static_cast<std::uint32_t>(wanted)))
    return fail(errc::exhausted);
  while (reserved_.size() < wanted) {
    auto buffer = pool_.take();
    if (!buffer) { // one more is on its way back at this moment
      reserved_.clear();
      return fail(errc::exhausted);
    }
    reserved_.push_back(std::move(buffer));
  }
  return {};
}

void appender::stamp(batch_header& header, const append_request& request) {
  header.flags = request.flags;
  if (request.payload_sum == wire::checksum_kind::castagnoli)
    header.flags |= batch_flag::castagnoli;
  header.log = at_.log;
  header.number = at_.next_number;
  header.in_term = term_;
  header.offset = at_.next_offset;
  header.first_record = at_.next_record;
  header.record_count = request.record_count;
  header.payload_crc = request.payload_crc;
  header.producer_epoch = request.producer_epoch;
  header.append_time_ns = planted(plant::clock_taken_as_it_is)
                              ? request.wall_ns
                              : std::max(request.wall_ns, at_.last_time_ns);
  header.key = keys_.next(request.wall_ns);
  header.producer_id = request.producer_id;
  header.producer_sequence = request.producer_sequence;
}

// Writes header and payload at the place found. From here on nothing fails.
result<sealed_batch> appender::seal(const place& where, batch_header& header,
                                    const std::byte* encoded, std::span<const byte_view> payload) {
  if (where.rolls)
    begin_segment({header.number, header.append_time_ns});
  std::array<std::byte, batch_header_bytes> bytes;
  if (encoded != nullptr)
    std::memcpy(bytes.data(), encoded, bytes.size());
  else
    encode(header, at_.previous_crc, bytes.data());

  sealed_batch batch{header, at_.segment, at_.position};
  if (filling_.empty()) {
    filling_.log = at_.log;
    filling_.segment = at_.segment;
    filling_.starts_segment = where.rolls;
    filling_.begin = at_.position;
  }
  write(bytes);
  for (const auto& piece : payload)
    write(piece);
  zero_block_rest();
  LANCE_CHECK(reserved_.empty() && at_.position == batch.file_end(), reserved_.size());
  filling_.end = at_.position;
  filling_.batches.push_back(batch);
  producers_.appended(stamp_of(header), header.number, header.append_time_ns);

  at_.previous_crc = header.header_crc;
  at_.next_number = batch_number{header.number.value + 1};
  at_.next_offset = header.end_offset();
  at_.next_record = header.end_record();
  at_.last_term = header.in_term;
  at_.last_key = header.key;
  at_.last_time_ns = header.append_time_ns;
  term_ = std::max(term_, header.in_term);
  return batch;
}

void appender::begin_segment(segment_id segment) {
  if (!filling_.empty())
    std::swap(filling_, finished_);
  head_.buffer.reset();
  at_.in_segment = true;
  at_.segment = segment;
  at_.position = 0;
  at_.previous_crc = chain_seed(at_.log, segment.first);
  ++at_.segments_begun;
}

void appender::write(byte_view bytes) {
  while (!bytes.empty()) {
    if (!head_.buffer || at_.position == head_.file_capacity_end())
      enter_next_chunk();
    note_chunk();
    const auto in_chunk = at_.position - head_.file_begin;
    const auto some = std::min<std::uint64_t>(bytes.size(), head_.buffer.size() - in_chunk);
    std::memcpy(head_.buffer.data() + in_chunk, bytes.data(), some);
    at_.position += some;
    bytes = bytes.subspan(some);
  }
}

void appender::enter_next_chunk() {
  LANCE_CHECK(!reserved_.empty());
  const auto block = align_down(at_.position, block_bytes);
  if (!head_.buffer && at_.position > block)
    std::memcpy(reserved_.back().data(), at_.tail.data(), at_.position - block);
  head_.buffer = std::move(reserved_.back());
  reserved_.pop_back();
  head_.file_begin = block;
  zeroed_to_ = block;
}

// The run that is being filled names every chunk it has bytes in.
void appender::note_chunk() {
  auto& chunks = filling_.chunks;
  if (chunks.empty() || chunks.back().buffer.data() != head_.buffer.data())
    chunks.push_back(head_.share());
}

// The write will take whole blocks: what follows the end in its block must not be some older use of
// the buffer.
void appender::zero_block_rest() {
  const auto block_end = align_up(at_.position, block_bytes);
  if (at_.position >= block_end || block_end <= zeroed_to_)
    return;
  std::memset(head_.buffer.data() + (at_.position - head_.file_begin), 0, block_end - at_.position);
  zeroed_to_ = block_end;
}

} // namespace lance::storage
