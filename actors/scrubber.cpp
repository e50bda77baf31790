#include "actors/scrubber.hpp"

#include <algorithm>
#include <utility>

#include "runtime/log.hpp"
#include "storage/index_file.hpp"
#include "storage/layout.hpp"
#include "storage/posix_disk.hpp"

namespace lance::actors {

using runtime::counter;
using runtime::log_level;

namespace {

constexpr std::uint64_t look_again_ns = 60 * s_in_ns;
constexpr std::size_t urgent_max = 64; // segments; further ones wait for the pass

/// A read that has ended when read() returns, as on a disk without ring and helper.
struct inline_read final : storage::read_request {
  result<std::size_t> outcome = fail(errc::internal);
  void read_done(result<std::size_t> what) override { outcome = what; }
};

} // namespace

/// One piece of the segment in work, or the writing of its index.
struct scrubber::job final : runtime::blocking_job {
  explicit job(scrubber& owner, bool direct)
      : home(owner), door(storage::make_posix_disk({.allow_direct = direct})),
        pool(*runtime::buffer_pool::make({.count = 1, .buffer_bytes = storage::scrub_piece_bytes})),
        buffer(pool->take()) {}

  void run() override { outcome = rebuild ? write_index() : look(); }
  void finish() override {
    busy = false;
    rebuild ? home.rebuilt() : home.piece_done();
  }

  result<> look() {
    if (!judge)
      if (auto opened = open(); !opened)
        return opened;
    read.position = judge->position();
    read.into = {buffer.data(), buffer.size()};
    data->read(read);
    if (!read.outcome)
      return tl::unexpected{read.outcome.error()};
    piece = std::min<std::uint64_t>(*read.outcome, target.facts.file_bytes - judge->position());
    judge->feed({buffer.data(), piece});
    ended = piece == 0 || judge->position() == target.facts.file_bytes;
    if (ended)
      judge->finish();
    return {};
  }

  result<> open() {
    namespace layout = storage::layout;
    const auto& facts = target.facts;
    const auto path = layout::join(target.directory, layout::closed_name(facts.id, facts.last_ns));
    auto opened = door->open(path, {.direct = true, .read_only = true});
    if (!opened)
      return tl::unexpected{opened.error()};
    data = std::move(*opened);
    index = storage::load_index(*door, index_path());
    judge.emplace(target.log, facts, index ? index->bytes() : byte_view{});
    return {};
  }

  // Beside the old one, which readers have mapped, and then over it.
  result<> write_index() {
    namespace layout = storage::layout;
    const auto& facts = target.facts;
    auto buffered =
        door->open(layout::join(target.directory, layout::closed_name(facts.id, facts.last_ns)),
                   {.read_only = true});
    if (!buffered)
      return tl::unexpected{buffered.error()};
    return storage::replace_index(*door, index_path(), **buffered, target.log, facts);
  }

  [[nodiscard]] std::string index_path() const {
    return storage::layout::join(target.directory, storage::layout::index_name(target.facts.id));
  }

  scrubber& home;
  std::unique_ptr<storage::disk> door;
  std::unique_ptr<runtime::buffer_pool> pool;
  runtime::buffer_ref buffer;
  scrub_target target;
  std::unique_ptr<storage::file> data; // of the segment in work; null: none is
  std::unique_ptr<storage::mapping> index;
  std::optional<storage::segment_judge> judge;
  inline_read read;
  result<> outcome;
  std::uint64_t piece = 0;
  bool working = false; // there is a segment in work
  bool urgent = false;
  bool busy = false; // the helper has it
  bool ended = false;
  bool rebuild = false;
};

scrubber::scrubber(scrub_host& host, runtime::lane& lane, runtime::metric_set& metrics,
                   const storage::options& chosen, bool direct)
    : host_(host), lane_(lane), metrics_(metrics),
      pace_(chosen.scrub_bytes_per_s, chosen.scrub_interval_ns, lane.time().steady_ns()),
      job_(std::make_unique<job>(*this, direct)) {}

// What the end of its lane has cut off may still be on the helper thread.
scrubber::~scrubber() {
  if (job_->busy)
    (void)job_.release();
}

bool scrubber::idle() const noexcept {
  return !job_->busy;
}

void scrubber::urge(log_id log, batch_number first) {
  const auto now = lane_.time().steady_ns();
  std::erase_if(looked_, [&](const auto& each) { return each.looked_ns + look_again_ns <= now; });
  const auto same = [&](const place& each) { return each.log == log && each.first == first; };
  if (urgent_.size() + looked_.size() >= urgent_max ||
      std::any_of(urgent_.begin(), urgent_.end(), same) ||
      std::any_of(looked_.begin(), looked_.end(), same))
    return;
  urgent_.push_back({log, first});
}

// Logs are opened one by one after the start, when the first pass has begun already.
void scrubber::log_came(log_id log) noexcept {
  if (!pace_.in_pass())
    pace_.hasten();
  else if (log <= at_log_)
    passed_by_ = true;
}

std::uint64_t scrubber::due_ns() const noexcept {
  if (job_->busy || stopped_)
    return ~std::uint64_t{0};
  const bool urgent = !urgent_.empty() || (job_->working && job_->urgent);
  return urgent || job_->working ? pace_.urgent_due_ns() : pace_.due_ns();
}

void scrubber::drive(std::uint64_t now_ns) {
  if (job_->busy || stopped_ || now_ns < due_ns())
    return;
  if (!job_->working && !choose(now_ns))
    return;
  job_->busy = true;
  lane_.helper().submit(*job_);
}

bool scrubber::choose(std::uint64_t now_ns) {
  while (!urgent_.empty()) {
    auto next = urgent_.front();
    urgent_.erase(urgent_.begin());
    next.looked_ns = now_ns;
    looked_.push_back(next);
    if (auto target = host_.closed_at(next.log, next.first)) {
      begin(std::move(*target), true);
      return true;
    }
  }
  if (now_ns < pace_.due_ns())
    return false;
  if (!pace_.in_pass()) {
    pace_.begin_pass(now_ns);
    at_log_ = log_id{};
    at_first_ = batch_number{};
    pass_bytes_ = pass_segments_ = pass_errors_ = 0;
  }
  pace_.expect(host_.closed_bytes());
  if (auto target = host_.closed_after(at_log_, at_first_)) {
    at_log_ = target->log;
    at_first_ = target->facts.id.first;
    begin(std::move(*target), false);
    return true;
  }
  pace_.end_pass(now_ns);
  if (std::exchange(passed_by_, false))
    pace_.hasten();
  if (pass_segments_ > 0 || pass_errors_ > 0)
    runtime::log(log_level::info, "scrub_pass",
                 {{"segments", pass_segments_},
                  {"bytes", pass_bytes_},
                  {"errors", pass_errors_},
                  {"seconds", (now_ns - pace_.began_ns()) / s_in_ns}});
  return false;
}

void scrubber::begin(scrub_target target, bool urgent) {
  job_->target = std::move(target);
  job_->urgent = urgent;
  job_->working = true;
  job_->ended = job_->rebuild = false;
  job_->piece = 0;
}

void scrubber::piece_done() {
  const auto now = lane_.time().steady_ns();
  pace_.advance(job_->piece, job_->urgent, now);
  metrics_.add(counter::scrub_bytes, job_->piece);
  pass_bytes_ += job_->piece;
  job_->piece = 0;
  if (!job_->outcome) {
    auto* log = host_.log_of(job_->target.log);
    if (log != nullptr && log->is_closed_segment(job_->target.facts.id)) { // else it just went
      ++pass_errors_;
      metrics_.add(counter::scrub_errors);
      runtime::log(log_level::error, "segment_unreadable",
                   {{"log", job_->target.log.value},
                    {"directory", job_->target.directory},
                    {"segment", job_->target.facts.id.first.value},
                    {"error", describe_error(job_->outcome.error())}});
    }
    end_segment();
  } else if (job_->ended) {
    conclude();
  }
  host_.scrub_advanced();
}

void scrubber::conclude() {
  const auto& target = job_->target;
  const auto& verdict = job_->judge->verdict();
  auto* log = host_.log_of(target.log);
  if (log == nullptr || !log->is_closed_segment(target.facts.id))
    return end_segment();
  ++pass_segments_;
  metrics_.add(counter::scrub_segments);
  const auto errors = verdict.damaged_count + (verdict.index_wrong ? 1 : 0);
  pass_errors_ += errors;
  metrics_.add(counter::scrub_errors, errors);
  log->damage().settle(target.facts.id.first, target.facts.end_number(), verdict.damaged);
  host_.damage_changed(*log);
  if (!verdict.index_wrong || verdict.lost_way)
    return end_segment();
  job_->judge.reset();
  job_->index.reset();
  job_->rebuild = job_->busy = true;
  lane_.helper().submit(*job_);
}

void scrubber::rebuilt() {
  const auto& target = job_->target;
  auto* log = host_.log_of(target.log);
  auto done = job_->outcome;
  if (done && log != nullptr)
    done = log->reload_index(target.facts.id);
  if (done) {
    metrics_.add(counter::scrub_indexes_rebuilt);
    runtime::log(log_level::warning, "index_rebuilt",
                 {{"log", target.log.value},
                  {"directory", target.directory},
                  {"segment", target.facts.id.first.value}});
  } else {
    runtime::log(log_level::error, "index_not_rebuilt",
                 {{"log", target.log.value},
                  {"directory", target.directory},
                  {"segment", target.facts.id.first.value},
                  {"error", describe_error(done.error())}});
  }
  end_segment();
  host_.scrub_advanced();
}

void scrubber::end_segment() {
  job_->judge.reset();
  job_->index.reset();
  job_->data.reset();
  job_->working = job_->ended = job_->rebuild = false;
}

void scrubber::report_age(std::uint64_t now_ns) {
  metrics_.set(runtime::gauge::scrub_age,
               static_cast<double>(pace_.age_ns(now_ns)) / static_cast<double>(s_in_ns));
}

} // namespace lance::actors
