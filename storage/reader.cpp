#include "storage/reader.hpp"

#include <algorithm>
#include <cerrno>

#include "runtime/check.hpp"
#include "runtime/plant.hpp"

namespace lance::storage {

using runtime::plant;
using runtime::planted;

namespace {

// Where two ranges of file positions meet.
struct file_range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  [[nodiscard]] std::uint64_t size() const noexcept { return end - begin; }
};

damaged_batch damaged_batch_of(batch_number number, const index_entry& entry) noexcept {
  return {number, entry.offset, entry.end_offset()};
}

} // namespace

// Goes batch by batch: each is copied from memory when all of it is there, else streamed through
// the buffer. Nothing of a batch counts before all that is wanted of it is copied and verified.
struct read_operation::progress final : read_request {
  enum class step : std::uint8_t { more, waiting, done };

  void begin(reader& with, read_operation& wanted, log& source);
  void run();
  step advance();
  step find_batch();
  step choose(const index_entry& entry);
  bool copy_from_memory();
  step begin_disk_batch();
  step consume();
  step read_more();
  step after_read();
  bool judge_header(byte_view bytes);
  void take_slice(byte_view bytes);
  step conclude_disk_batch();
  step not_what_it_was();
  step damaged_batch();
  step doubtful_index();
  void conclude_batch();
  step stop(const error& why);
  step stop(errc code) { return stop(error{code, 0}); }
  void read_done(result<std::size_t> outcome) override;

  reader* home = nullptr;
  read_operation* operation = nullptr;
  log* from = nullptr;

  batch_number at;    // the batch that comes next
  byte_offset offset; // the offset that comes next
  byte_offset started;
  std::uint32_t copied = 0;
  bool only_memory = true;
  result<> ending; // what finish() will say if nothing was copied

  std::shared_ptr<segment> in;
  index_entry entry;
  bool chosen = false;    // entry and want are of the batch in work
  bool from_disk = false; // and it comes through the buffer
  file_range want;        // bytes of the file that go into `into`

  runtime::buffer_ref buffer;
  file_range have; // what of the segment's file the buffer holds
  bool slot = false;
  bool running = false;
  bool returned = false; // a read is done and not looked at yet
  result<std::size_t> got;
  bool verify = false;
  bool fresh = false;         // the buffer was read for this batch, from its header on
  bool through_cache = false; // the kernel's, not from the device
  std::uint64_t consumed = 0;
  std::uint32_t sum = 0;
  batch_header header;
};

void read_operation::progress::begin(reader& with, read_operation& wanted, log& source) {
  home = &with;
  operation = &wanted;
  from = &source;
  copied = 0;
  only_memory = true;
  ending = {};
  in.reset();
  have = {};
  chosen = from_disk = slot = running = returned = false;
}

void read_operation::progress::run() {
  running = true;
  auto next = std::exchange(returned, false) ? after_read() : step::more;
  while (next == step::more)
    next = advance();
  running = false;
  if (next == step::done) {
    read_outcome outcome{started, offset, at, copied, only_memory};
    if (copied == 0 && operation->batches.empty() && !ending)
      home->finish(*operation, tl::unexpected(ending.error()));
    else
      home->finish(*operation, outcome);
  }
}

read_operation::progress::step read_operation::progress::advance() {
  if (!chosen)
    return find_batch();
  if (from_disk)
    return consume();
  if (copy_from_memory()) {
    conclude_batch();
    return step::more;
  }
  return begin_disk_batch();
}

read_operation::progress::step read_operation::progress::stop(const error& why) {
  ending = tl::unexpected(why);
  return step::done;
}

read_operation::progress::step read_operation::progress::find_batch() {
  if (at >= from->durable_next() || at >= operation->limit_number)
    return step::done;
  if (in == nullptr || at < in->facts().id.first || at >= in->facts().end_number()) {
    in.reset(); // it may be let go for the next one
    auto found = from->segment_of(at);
    if (!found)
      return stop(found.error());
    in = std::move(*found);
    have = {};
  }
  const auto found = in->index().entry(at.value - in->facts().id.first.value);
  return in->index_failed() ? stop({errc::io_failed, EIO}) : choose(found);
}

// What of the batch is wanted, if anything still is.
read_operation::progress::step read_operation::progress::choose(const index_entry& candidate) {
  entry = candidate;
  const auto& wanted = *operation;
  const auto room = wanted.into.size() - copied;
  const bool begins_here = wanted.shape != read_shape::bytes || entry.control;
  if (entry.file_end() > in->facts().file_bytes || (!begins_here && entry.offset > offset))
    return doubtful_index();
  if (wanted.shape == read_shape::bytes) {
    const auto end = planted(plant::reader_past_limit) ? entry.end_offset()
                                                       : std::min(entry.end_offset(), wanted.limit);
    if (!entry.control && (room == 0 || offset >= end))
      return step::done;
    if (!entry.control) {
      want.begin = entry.payload_position() + (offset.value - entry.offset.value);
      want.end = want.begin + std::min<std::uint64_t>(room, end.value - offset.value);
    }
  } else {
    if (entry.end_offset() > wanted.limit)
      return step::done;
    want = {wanted.shape == read_shape::image ? entry.position : entry.payload_position(),
            entry.file_end()};
    const bool skipped = entry.control && wanted.shape == read_shape::batches;
    if (!skipped && want.size() > room)
      return wanted.batches.empty() ? stop(errc::too_large) : step::done;
  }
  if (entry.control && wanted.shape != read_shape::image) {
    at = batch_number{at.value + 1};
    return step::more;
  }
  chosen = true;
  return step::more;
}

bool read_operation::progress::copy_from_memory() {
  if (in->growing() == nullptr) { // its index came back from disk
    const auto bytes = from->in_memory(in->facts().id, entry.position);
    if (bytes.size() < batch_header_bytes || !judge_header(bytes))
      return false;
  }
  auto* to = operation->into.data() + copied;
  for (auto place = want.begin; place < want.end;) {
    const auto bytes = from->in_memory(in->facts().id, place);
    if (bytes.empty())
      return false;
    const auto some = std::min<std::uint64_t>(bytes.size(), want.end - place);
    std::memcpy(to + (place - want.begin), bytes.data(), some);
    place += some;
  }
  return true;
}

read_operation::progress::step read_operation::progress::begin_disk_batch() {
  if (from->damage().confirmed(at)) {
    operation->damaged = *from->damage().find(at);
    return stop(errc::corrupt);
  }
  if (!slot) {
    if (home->under_way_ >= home->depth_) {
      home->waiting_.push(*operation);
      return step::waiting;
    }
    slot = true;
    ++home->under_way_;
  }
  if (!buffer)
    buffer = home->pool_.take();
  if (!buffer)
    return stop(errc::exhausted);
  const bool whole = want.begin <= entry.payload_position() && want.end == entry.file_end();
  verify = whole || !in->verified.has(at.value - in->facts().id.first.value);
  from_disk = true;
  only_memory = false;
  fresh = false;
  consumed = verify ? entry.position : want.begin;
  sum = 0;
  return step::more;
}

read_operation::progress::step read_operation::progress::consume() {
  const auto stop_at = verify ? entry.file_end() : want.end;
  const bool at_header = verify && consumed == entry.position;
  const auto needed = at_header ? batch_header_bytes : 1;
  if (consumed < stop_at) {
    if (consumed < have.begin || consumed + needed > have.end)
      return read_more();
    if (at_header && !judge_header({buffer.data() + (consumed - have.begin), batch_header_bytes}))
      return not_what_it_was();
    if (at_header && header.has(batch_flag::lost)) { // known since its repair: no news
      operation->damaged = damaged_batch_of(at, entry);
      return stop(errc::corrupt);
    }
    const auto end = at_header ? consumed + batch_header_bytes : std::min(have.end, stop_at);
    take_slice({buffer.data() + (consumed - have.begin), end - consumed});
    return step::more;
  }
  return conclude_disk_batch();
}

// Whether this is the header that index and predecessor speak of.
bool read_operation::progress::judge_header(byte_view bytes) {
  bytes = bytes.first(batch_header_bytes);
  const auto decoded = decode(bytes);
  if (!decoded || decoded->number != at || decoded->log != from->id() ||
      entry_of({*decoded, in->facts().id, entry.position}) != entry)
    return false;
  const auto place = at.value - in->facts().id.first.value;
  const auto before = place == 0 ? chain_seed(from->id(), in->facts().id.first)
                                 : in->index().entry(place - 1).header_crc;
  if (!chained(bytes, before))
    return false;
  header = *decoded;
  return true;
}

// The next bytes of the batch: into the sum what is payload, into the room what is wanted.
void read_operation::progress::take_slice(byte_view bytes) {
  const file_range slice{consumed, consumed + bytes.size()};
  if (verify && slice.begin >= entry.payload_position())
    sum = wire::checksum_update(header.payload_sum(), sum, bytes);
  const auto begin = std::max(slice.begin, want.begin);
  const auto end = std::min(slice.end, want.end);
  if (begin < end)
    std::memcpy(operation->into.data() + copied + (begin - want.begin),
                bytes.data() + (begin - slice.begin), end - begin);
  consumed = slice.end;
}

read_operation::progress::step read_operation::progress::read_more() {
  if (home->depth_ == 0) {
    home->begun_.push(*operation);
    return step::waiting;
  }
  const auto begin = align_down(consumed, block_bytes);
  // As far as this operation may want; what is durable later is not in the buffer then.
  const auto wanted_end =
      std::max(verify ? entry.file_end() : want.end, consumed + operation->into.size() - copied);
  const auto end = std::min({begin + buffer.size(), align_up(wanted_end, block_bytes),
                             align_up(in->facts().file_bytes, block_bytes)});
  have = {begin, std::min(end, in->facts().file_bytes)};
  fresh = fresh || consumed == entry.position;
  position = begin;
  into = {buffer.data(), end - begin};
  pool = buffer.home();
  home->disk_bytes_ += into.size();
  ++home->disk_reads_;
  auto& file = from->file_to_read(in, into.size());
  through_cache = &file != &in->data();
  if (through_cache)
    file.set_read_ahead(home->read_ahead_);
  file.read(*this);
  return std::exchange(returned, false) ? after_read()
                                        : step::waiting; // some files are done before they return
}

read_operation::progress::step read_operation::progress::after_read() {
  if (!got)
    return stop(got.error());
  have.end = std::min(have.end, have.begin + *got);
  if (consumed >= have.end) // the file ends before the batch does: not what the index says
    return damaged_batch();
  return step::more;
}

void read_operation::progress::read_done(result<std::size_t> outcome) {
  got = outcome;
  returned = true;
  ++home->disk_reads_done_;
  if (!running)
    run();
}

read_operation::progress::step read_operation::progress::conclude_disk_batch() {
  if (verify && sum != header.payload_crc && !planted(plant::rot_unseen))
    return not_what_it_was();
  if (verify && entry.payload_length > buffer.size())
    in->verified.set(at.value - in->facts().id.first.value);
  if (verify)
    from->damage().heal(at);
  from_disk = false;
  conclude_batch();
  return step::more;
}

// The buffer may hold what the file was before the batch was written, and the page cache anything:
// read it for this batch alone, from the device, before calling it damaged.
read_operation::progress::step read_operation::progress::not_what_it_was() {
  if (fresh && !through_cache)
    return damaged_batch();
  if (through_cache)
    in->habit.distrust();
  fresh = false;
  have = {};
  consumed = entry.position;
  sum = 0;
  return step::more;
}

read_operation::progress::step read_operation::progress::damaged_batch() {
  operation->damaged = damaged_batch_of(at, entry);
  if (from->damage().note(*operation->damaged) && in->growing() == nullptr)
    // It may be the index after all.
    from->damage().doubt(in->facts().id.first);
  return stop(errc::corrupt);
}

read_operation::progress::step read_operation::progress::doubtful_index() {
  from->damage().doubt(in->facts().id.first);
  return stop(errc::corrupt);
}

void read_operation::progress::conclude_batch() {
  auto& batches = operation->batches;
  if (batches.empty() && operation->shape != read_shape::bytes)
    started = entry.offset;
  batches.push_back({at, entry});
  const auto bytes = static_cast<std::uint32_t>(want.size());
  copied += bytes;
  offset = operation->shape == read_shape::bytes ? byte_offset{offset.value + bytes}
                                                 : entry.end_offset();
  if (offset == entry.end_offset())
    at = batch_number{at.value + 1};
  chosen = false;
}

read_operation::read_operation() : progress_(std::make_unique<progress>()) {}
read_operation::~read_operation() = default;

reader::reader(runtime::buffer_pool& pool, const options& chosen)
    : pool_(pool), most_(chosen.read_depth), depth_(chosen.read_depth) {
  LANCE_CHECK(pool.buffer_bytes() >= 2 * block_bytes, pool.buffer_bytes());
}

reader::~reader() {
  LANCE_CHECK(under_way_ == 0 && waiting_.empty(), under_way_);
}

void reader::start(read_operation& operation, log& from) {
  auto& progress = *operation.progress_;
  progress.begin(*this, operation, from);
  operation.batches.clear();
  operation.damaged.reset();
  const auto end = std::min(from.durable_end(), operation.limit);
  if (operation.shape == read_shape::image && operation.start_number) {
    progress.at = std::max(*operation.start_number, from.start_number());
    if (progress.at > from.durable_next())
      return operation.finished(fail(errc::offset_out_of_range));
    progress.started = progress.offset = end;
    if (const auto first = from.find_number(progress.at); first)
      progress.started = progress.offset = first->entry.offset;
    return progress.run();
  }
  progress.started = progress.offset = std::max(operation.start, from.start_offset());
  if (progress.offset > end)
    return operation.finished(fail(errc::offset_out_of_range));
  if (progress.offset == end)
    return operation.finished(
        read_outcome{progress.offset, progress.offset, from.durable_next(), 0, true});
  const auto first = from.find_offset(progress.offset);
  if (!first)
    return operation.finished(tl::unexpected(first.error()));
  progress.at = first->number;
  progress.run();
}

void reader::line::push(read_operation& operation) noexcept {
  operation.next_waiting_ = nullptr;
  (last != nullptr ? last->next_waiting_ : first) = &operation;
  last = &operation;
}

read_operation& reader::line::pop() noexcept {
  auto& next = *std::exchange(first, first->next_waiting_);
  if (first == nullptr)
    last = nullptr;
  return next;
}

void reader::finish(read_operation& operation, const result<read_outcome>& outcome) {
  auto& progress = *operation.progress_;
  progress.buffer.reset();
  progress.in.reset();
  if (std::exchange(progress.slot, false))
    --under_way_;
  operation.finished(outcome);
  start_waiting();
}

void reader::allow(std::uint32_t operations) {
  depth_ = std::min(operations, most_);
  start_waiting();
}

void reader::start_waiting() {
  while (!begun_.empty() && depth_ > 0)
    begun_.pop().progress_->run();
  while (!waiting_.empty() && under_way_ < depth_)
    waiting_.pop().progress_->run();
}

} // namespace lance::storage
