#include "cluster/replica_feed.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace lance::cluster {

class replica_feed::reading final : public storage::read_operation {
 public:
  reading(replica_feed& owner, storage::log& from) : home(owner), log(from) {}

  void start() { home.reader_.start(*this, log); }

  void finished(result<storage::read_outcome> outcome) override {
    // A batch that is larger than usual travels alone.
    if (!outcome && outcome.error().code == errc::too_large && !grown) {
      grown = true;
      if (const auto found = log.find_number(*start_number); found) {
        room.resize(found->entry.file_end() - found->entry.position);
        into = room;
        return start();
      }
    }
    got = outcome;
    done = true;
    home.waker_(home.context_);
  }

  replica_feed& home;
  storage::log& log;
  std::vector<std::byte> room;
  std::optional<message> late;
  node_id to;
  bool grown = false;
  bool done = false;
  result<storage::read_outcome> got;
};

replica_feed::replica_feed(storage::reader& reader, wake waker, void* context)
    : reader_(reader), waker_(waker), context_(context) {}

replica_feed::~replica_feed() = default;

void replica_feed::appended(const storage::sealed_run& run) {
  for (const auto& each : run.batches)
    pending_.push_back(
        {each.header.number, each.segment, each.position, each.header.image_bytes()});
}

void replica_feed::durable(batch_number end) {
  while (!pending_.empty() && pending_.front().number < end)
    pending_.pop_front();
}

bool replica_feed::gather(storage::log& log, node_id to, batch_number from, batch_number end,
                          std::vector<byte_view>& pieces) {
  pieces.clear();
  if (taken_ && !taken_->late && taken_->got && taken_->to == to && *taken_->start_number == from &&
      taken_->got->next_number == end) {
    pieces.push_back(byte_view{taken_->room}.first(taken_->got->bytes));
    return true;
  }
  // Places first: to look for one may open a segment, and then what was found in memory may move.
  std::vector<placed_batch> places;
  for (auto number = from; number < end; ++number.value) {
    if (!pending_.empty() && number >= pending_.front().number) {
      const auto at = number.value - pending_.front().number.value;
      LANCE_CHECK(at < pending_.size(), number.value, end.value);
      places.push_back(pending_[at]);
      continue;
    }
    const auto in = log.segment_of(number);
    const auto found = in ? log.find_number(number) : tl::unexpected(in.error());
    if (!found)
      return false;
    const auto& entry = found->entry;
    places.push_back(
        {number, (*in)->facts().id, entry.position, entry.file_end() - entry.position});
  }
  for (auto place : places)
    while (place.bytes > 0) {
      const auto some = log.in_memory(place.segment, place.position);
      if (some.empty())
        return false;
      const auto taken = std::min<std::uint64_t>(some.size(), place.bytes);
      pieces.push_back(some.first(taken));
      place.position += taken;
      place.bytes -= taken;
    }
  return true;
}

replica_feed::reading& replica_feed::begin(storage::log& log, batch_number from, batch_number end,
                                           std::uint64_t bytes) {
  reads_.push_back(std::make_unique<reading>(*this, log));
  auto& one = *reads_.back();
  one.shape = storage::read_shape::image;
  one.start_number = from;
  one.limit_number = end;
  one.room.resize(bytes);
  one.into = one.room;
  return one;
}

bool replica_feed::read_late(storage::log& log, const message& what) {
  const auto& sent = std::get<append>(what.body);
  const auto waiting = std::ranges::count_if(reads_, [](const auto& one) { return !!one->late; });
  const auto last = log.find_number(batch_number{sent.end.value - 1});
  const auto first = log.find_number(sent.from);
  if (waiting >= static_cast<std::ptrdiff_t>(late_reads_max) || !first || !last)
    return false;
  std::uint64_t bytes = 0;
  for (auto number = sent.from; number < sent.end; ++number.value)
    if (const auto found = log.find_number(number); found)
      bytes += found->entry.file_end() - found->entry.position;
  auto& one = begin(log, sent.from, sent.end, bytes);
  one.late = what;
  one.start();
  return true;
}

void replica_feed::fetch(storage::log& log, const fetch_request& what) {
  auto& one = begin(log, what.from, batch_number{~std::uint64_t{0}}, what.bytes_max);
  one.to = what.to;
  one.start();
}

bool replica_feed::take(outcome& into) {
  const auto done = std::ranges::find_if(reads_, [](const auto& one) { return one->done; });
  taken_.reset();
  if (done == reads_.end())
    return false;
  taken_ = std::move(*done);
  reads_.erase(done);
  into = {};
  into.late = taken_->late;
  into.failed = !taken_->got;
  const auto from = *taken_->start_number;
  into.fetched = {taken_->to, from, from, 0, false};
  if (taken_->got) {
    into.bytes = byte_view{taken_->room}.first(taken_->got->bytes);
    into.fetched.end = taken_->got->bytes == 0 ? from : taken_->got->next_number;
    into.fetched.bytes = taken_->got->bytes;
    if (taken_->late) // not all of it: a batch in between does not verify
      into.failed = taken_->got->next_number != std::get<append>(taken_->late->body).end;
  }
  return true;
}

bool replica_feed::idle() const noexcept {
  return std::ranges::all_of(reads_, [](const auto& one) { return one->done; });
}

void replica_feed::forget() {
  std::erase_if(reads_, [](const auto& one) { return one->done; });
  taken_.reset();
}

} // namespace lance::cluster
