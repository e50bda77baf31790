#include "cluster/replica.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "cluster/control_entry.hpp"
#include "runtime/check.hpp"
#include "runtime/log.hpp"
#include "runtime/plant.hpp"
#include "storage/cut_log.hpp"
#include "storage/layout.hpp"

namespace lance::cluster {

using runtime::log_level;
using runtime::plant;
using runtime::planted;
using storage::log_state;

namespace {

constexpr std::uint64_t control_bytes_max = storage::batch_header_bytes + control_entry_bytes_max;

bool writable(log_state state) noexcept {
  return state == log_state::open || state == log_state::no_space || state == log_state::stalled;
}

// The payload of a batch in a run, which may lie in several chunks; the later one counts.
std::vector<std::byte> payload_in(const storage::sealed_run& run,
                                  const storage::sealed_batch& batch) {
  std::vector<std::byte> payload(batch.header.payload_length);
  const auto begin = batch.position + storage::batch_header_bytes;
  for (const auto& chunk : run.chunks) {
    const auto from = std::max(begin, chunk.file_begin);
    const auto to = std::min(batch.file_end(), chunk.file_capacity_end());
    if (from < to)
      std::memcpy(payload.data() + (from - begin), chunk.buffer.data() + (from - chunk.file_begin),
                  to - from);
  }
  return payload;
}

} // namespace

replica::replica(const replica_places& shared, const storage::log_policy& policy,
                 replica_identity who, opened_replica found, replica_owner& owner, moment at)
    : shared_(shared), policy_(policy), who_(std::move(who)), owner_(owner),
      core_(std::make_unique<raft>(shared.chosen, found.start, at)),
      feed_(
          *shared.reader,
          [](void* self) {
            auto& here = *static_cast<replica*>(self);
            here.owner_.wake(here);
          },
          this),
      at_(at), told_durable_(found.start.end), may_be_fit_(found.start.fit),
      told_fit_(found.start.fit) {
  use_log(std::move(found.log));
}

replica::~replica() = default;

bool replica::idle() const noexcept {
  return at_step_ == step::none && job_ == deed::none && feed_.idle() &&
         (log_ == nullptr || log_->idle());
}

// -- inputs --------------------------------------------------------------------------------------

void replica::tick(moment at) {
  at_ = at;
  if (log_ && at.now_ns - ticked_ns_ >= shared_.environment->chosen.tick_ns) {
    ticked_ns_ = at.now_ns;
    log_->tick(at.now_ns);
  }
  go_on();
  // Without room for the batch that begins a term it does not campaign.
  if (!settled() || (core_->now() != role::leader && log_->state() != log_state::open))
    return;
  core_->tick(at_, out_);
  begin_output();
  go_on();
}

void replica::receive(moment at, message what, std::vector<std::byte> beside) {
  at_ = at;
  if (waiting_.size() >= waiting_max || waiting_bytes_ + beside.size() > waiting_bytes_max ||
      broken_) {
    ++counts_.messages_dropped;
    return;
  }
  waiting_bytes_ += beside.size();
  waiting_.push_back({std::move(what), std::move(beside)});
  go_on();
}

void replica::submit(moment at, term in_term, storage::sealed_run& run) {
  at_ = at;
  if (broken_ || copies_ || !log_ || core_->now() != role::leader ||
      core_->current_term() != in_term) {
    run.clear();
    return;
  }
  tell_appended(run);
  feed_.appended(run);
  log_->submit(run);
  log_->pump(at_.now_ns);
  go_on();
}

// Control batches by themselves, what lies between them together.
void replica::tell_appended(const storage::sealed_run& run) {
  appended_run some{};
  const auto flush = [&] {
    if (some.bytes > 0)
      appended_.push_back(std::exchange(some, {}));
  };
  for (const auto& each : run.batches) {
    const auto& header = each.header;
    const auto end = batch_number{header.number.value + 1};
    if (header.has(storage::batch_flag::control)) {
      flush();
      const auto control = decode_control(payload_in(run, each));
      LANCE_CHECK(control.has_value(), header.number.value);
      appended_.push_back({header.number, end, header.in_term, header.image_bytes(), *control});
      continue;
    }
    if (some.bytes == 0)
      some = {header.number, end, header.in_term, 0, std::nullopt};
    some.end = end;
    some.bytes += header.image_bytes();
  }
  flush();
}

void replica::persisted(result<> outcome) {
  answer_ = outcome;
}

void replica::settle(moment at) {
  at_ = at;
  if (log_)
    log_->pump(at.now_ns);
  go_on();
}

template <class Ask>
result<> replica::ask(moment at, Ask what) {
  at_ = at;
  go_on();
  if (!settled())
    return fail(errc::throttled);
  const auto done = what();
  begin_output();
  go_on();
  return done;
}

result<> replica::change_members(moment at, membership_step how, node_id node) {
  return ask(at, [&] { return core_->change_members(at_, how, node, out_); });
}

result<> replica::transfer(moment at, node_id to) {
  return ask(at, [&] { return core_->transfer(at_, to, out_); });
}

result<> replica::read(moment at, std::uint64_t token) {
  return ask(at, [&] { return core_->read(at_, token, out_); });
}

void replica::trim(moment at, batch_number end) {
  at_ = at;
  go_on();
  if (!settled() || job_ != deed::none || !log_)
    return;
  const auto& known = core_->log();
  removal_ = log_->take_before(std::min({end, known.committed_end, known.durable_end}));
  if (removal_.empty())
    return;
  // Segments that an earlier removal left may be in front of what the core knows.
  const auto start = std::max(log_->start_number(), known.terms.start());
  job_state_ = state_of(policy_.log, known, start);
  job_state_->truncate(known.durable_end);
  core_->trimmed(start);
  submit_job(deed::trim);
}

// -- one thing after the other -------------------------------------------------------------------

void replica::go_on() {
  do {
    finish_job();
    if (at_step_ != step::none && !perform())
      return;
  } while (next_input());
}

void replica::begin_output() noexcept {
  at_step_ = step::persist;
  written_ = 0;
  asked_ = false;
  answer_.reset();
}

// True: there is an output to perform now.
bool replica::next_input() {
  if (broken_ || !log_)
    return false;
  if (!appended_.empty()) {
    const auto run = std::move(appended_.front());
    appended_.pop_front();
    core_->appended(at_, run, out_);
    begin_output();
    return true;
  }
  return take_progress() || take_read() || take_message();
}

bool replica::take_progress() {
  const auto progress = log_->take_progress();
  if (progress.flush_ns != 0)
    flush_ns_ = progress.flush_ns;
  if (progress.grant_changed) {
    if (copies_)
      copies_->set_grant(progress.grant);
    else
      owner_.granted(*this, progress.grant);
  }
  const bool fit = may_be_fit_ && writable(log_->state());
  if (fit != told_fit_) {
    told_fit_ = fit;
    core_->set_fit(at_, fit, out_);
    begin_output();
    return true;
  }
  const auto durable = log_->durable_next();
  if (durable == told_durable_)
    return false;
  told_durable_ = durable;
  feed_.durable(durable);
  core_->durable(at_, {durable, core_->generation(), std::exchange(flush_ns_, 0)}, out_);
  begin_output();
  return true;
}

bool replica::take_read() {
  replica_feed::outcome read;
  if (!feed_.take(read))
    return false;
  if (read.late) {
    const auto& what = *read.late;
    if (!read.failed && what.in_term == core_->current_term() && core_->now() == role::leader)
      owner_.send(*this, what, {&read.bytes, 1});
    return take_read();
  }
  if (read.failed)
    core_->fetch_failed(at_, read.fetched.to, out_);
  else
    core_->fetched(at_, read.fetched, out_);
  begin_output();
  return true;
}

bool replica::take_message() {
  while (!waiting_.empty()) {
    incoming_ = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_bytes_ -= incoming_.beside.size();
    if (!usable())
      continue;
    core_->receive(at_, incoming_.what, out_);
    begin_output();
    return true;
  }
  return false;
}

// What a core is told of can be done: batches verify and there is room for them, a new start says
// what it must.
bool replica::usable() {
  batches_.clear();
  if (const auto* body = std::get_if<rebase>(&incoming_.what.body); body != nullptr)
    return usable_rebase(*body);
  const auto* sent = std::get_if<append>(&incoming_.what.body);
  if (sent == nullptr || sent->from == sent->end)
    return true;
  if (!copies_ || copies_->state() != log_state::open) {
    // Who leads has an older term to be told about, batches or not.
    if (copies_ || incoming_.what.in_term < core_->current_term()) {
      ++counts_.messages_starved;
      return false;
    }
  }
  auto taken = take_copies(policy_.log, *sent, incoming_.beside);
  if (!taken) {
    ++counts_.messages_refused;
    runtime::log(log_level::warning, "replica_batches_refused",
                 {{"log", policy_.log.value},
                  {"from", incoming_.what.from.value},
                  {"batch", sent->from.value},
                  {"error", describe(taken.error().code)}});
    return false;
  }
  batches_ = std::move(*taken);
  return true;
}

bool replica::usable_rebase(const rebase& body) {
  const byte_view beside = incoming_.beside;
  const auto start = beside.size() < storage::log_start_bytes
                         ? fail(errc::bad_format)
                         : storage::decode_log_start(beside.first(storage::log_start_bytes));
  const auto known = beside.subspan(std::min(beside.size(), storage::log_start_bytes));
  bool good = start && start->log == policy_.log && start->next_number == body.start &&
              start->last_term == body.base_term;
  if (good && !known.empty()) {
    const auto producers = storage::decode_producers(known);
    good = producers && producers->log == policy_.log && producers->end == body.start;
  }
  if (!good) {
    ++counts_.messages_refused;
    return false;
  }
  new_start_ = *start;
  new_producers_.assign(known.begin(), known.end());
  return true;
}

// -- an output -----------------------------------------------------------------------------------

// False: the step waits for something, and goes on when that is there.
bool replica::perform() {
  switch (at_step_) {
  case step::none:
    break;
  case step::persist:
    if (!do_persist())
      return false;
    at_step_ = step::reopen;
    [[fallthrough]];
  case step::reopen:
    if (!do_reopen())
      return false;
    at_step_ = step::write;
    [[fallthrough]];
  case step::write:
    if (!do_write())
      return false;
    at_step_ = step::tell;
    [[fallthrough]];
  case step::tell:
    told_committed_ = std::max(told_committed_, out_.committed_end);
    owner_.told(*this, out_);
    at_step_ = step::send;
    [[fallthrough]];
  case step::send:
    do_send();
    at_step_ = step::append;
    [[fallthrough]];
  case step::append:
    if (!do_append())
      return false;
    at_step_ = step::lead;
    [[fallthrough]];
  case step::lead:
    do_lead();
    at_step_ = step::none;
  }
  return true;
}

bool replica::do_persist() {
  if (!out_.persist)
    return true;
  if (!std::exchange(asked_, true))
    owner_.persist(*this, *out_.persist);
  if (planted(plant::vote_not_awaited))
    return true;
  if (!answer_)
    return false;
  if (!*answer_) {
    who_.votes_sound = false;
    start_over("votes.log cannot be written");
    return false;
  }
  who_.promised = out_.persist;
  return true;
}

// What a leader appended and did not submit is dropped with the appender; so the log is opened anew
// when leadership ends, too.
bool replica::do_reopen() {
  const bool lost = out_.changed && !copies_;
  if (!out_.begin_at && !out_.truncate_to && !lost && !job_log_)
    return true;
  if (!job_log_) {
    if (job_ == deed::reopen)
      return false;
    stop_leading();
    if (!let_log_go())
      return false;
    job_state_ = state_of(policy_.log, core_->log(), core_->log().terms.start());
    job_end_ = out_.begin_at      ? out_.begin_at->start
               : out_.truncate_to ? *out_.truncate_to
               : out_.write       ? out_.write->from
                                  : core_->log().terms.end();
    job_state_->truncate(job_end_);
    submit_job(deed::reopen);
    finish_job();
    if (!job_log_)
      return false;
  }
  use_log(std::move(job_log_));
  if (log_->durable_next() == job_end_)
    return true;
  start_over("the log does not end where its core has it end");
  return false;
}

bool replica::do_write() {
  if (!out_.write)
    return true;
  const auto& sent = std::get<append>(incoming_.what.body);
  const auto skipped = out_.write->from.value - sent.from.value;
  const auto count = out_.write->end.value - out_.write->from.value;
  for (bool retried = false; written_ < count;) {
    const auto& batch = batches_[skipped + written_];
    const auto sealed = copies_->append_copy(batch.header, {&batch.payload, 1});
    if (sealed) {
      ++written_;
      retried = false;
      continue;
    }
    if (sealed.error().code != errc::exhausted) {
      ++counts_.messages_refused;
      start_over("a batch of the leader does not fit the log");
      return false;
    }
    if (std::exchange(retried, true))
      return false;
    make_way();
  }
  submit_copies();
  return true;
}

// The next append may find room: what fills the pool is on its way, or only kept for readers.
void replica::make_way() {
  submit_copies();
  (void)copies_->release_idle();
  if (const auto progress = log_->take_progress(); progress.grant_changed)
    copies_->set_grant(progress.grant);
  if (!shared_.copies->can_take(1))
    shared_.environment->cache->shrink_to(0);
}

void replica::submit_copies() {
  while (copies_->collect(run_))
    log_->submit(run_);
  log_->pump(at_.now_ns);
}

void replica::do_send() {
  for (const auto& each : out_.send) {
    if (std::holds_alternative<append>(each.body))
      send_append(each);
    else if (std::holds_alternative<rebase>(each.body))
      send_rebase(each);
    else
      owner_.send(*this, each, {});
  }
  for (const auto& each : out_.fetch)
    feed_.fetch(*log_, each);
}

void replica::send_append(const message& what) {
  const auto& body = std::get<append>(what.body);
  if (feed_.gather(*log_, what.to, body.from, body.end, pieces_))
    owner_.send(*this, what, pieces_);
  else if (!feed_.read_late(*log_, what))
    ++counts_.messages_dropped;
}

// What the follower's log begins with, and those producers whose last batch lies before: of the
// others the batches will tell.
void replica::send_rebase(const message& what) {
  const auto& body = std::get<rebase>(what.body);
  if (log_->start_number() != body.start)
    return; // retention has gone on; it is asked for again
  const auto start = storage::encode(storage::log_start{
      policy_.log, body.start, log_->start_offset(), log_->start_record(), body.base_term, {}, 0});
  storage::producer_table before;
  for (const auto& row : log_->producers().rows())
    if (row.number < body.start)
      before.appended(row.newest, row.number, row.seen_ns);
  const auto known = storage::encode_producers(policy_.log, body.start, before);
  const std::array<byte_view, 2> pieces{start, known};
  owner_.send(*this, what, pieces);
}

bool replica::do_append() {
  if (!out_.append)
    return true;
  if (!copies_) {
    owner_.append_control(*this, encode(*out_.append));
    return true;
  }
  return append_here(*out_.append);
}

// The batch a term begins with, before anybody else appends.
bool replica::append_here(const control_batch& what) {
  const auto payload = encode(what);
  const byte_view piece{payload};
  storage::append_request request;
  request.payload = {&piece, 1};
  request.payload_crc = wire::checksum(request.payload_sum, payload);
  request.flags = storage::batch_flag::control;
  request.wall_ns = shared_.environment->clock->wall_ns();
  copies_->set_term(core_->current_term());
  auto sealed = copies_->append(request);
  if (!sealed && sealed.error().code == errc::exhausted) {
    make_way();
    sealed = copies_->append(request);
  }
  if (!sealed) {
    if (sealed.error().code != errc::exhausted)
      start_over("no batch can begin the term");
    return false;
  }
  while (copies_->collect(run_)) {
    tell_appended(run_);
    feed_.appended(run_);
    log_->submit(run_);
  }
  log_->pump(at_.now_ns);
  return true;
}

void replica::do_lead() {
  if (!out_.changed || out_.changed->now != role::leader)
    return;
  const auto start = copies_->hand_over();
  copies_.reset();
  owner_.lead(*this, start, out_.changed->in_term);
}

// -- the log -------------------------------------------------------------------------------------

void replica::stop_leading() {
  if (!copies_ && log_)
    owner_.follow(*this);
}

// False: something still uses it.
bool replica::let_log_go() {
  if (job_ != deed::none)
    return false;
  if (!log_)
    return true;
  if (!feed_.idle() || !owner_.let_go(*this, *log_))
    return false;
  log_->pump(at_.now_ns);
  const bool stands = log_->state() != log_state::open && log_->at_rest();
  if (!stands && !log_->idle())
    return false;
  feed_.forget();
  copies_.reset();
  ended_ = log_->durable_next();
  log_.reset();
  owner_.opened(*this);
  return true;
}

void replica::use_log(std::unique_ptr<storage::log> opened) {
  log_ = std::move(opened);
  feed_.begin();
  copies_ = std::make_unique<storage::appender>(
      log_->start(), shared_.environment->chosen, *shared_.copies,
      storage::stamp_identity{shared_.self, shared_.actor});
  told_durable_ = {};
  owner_.opened(*this);
}

// Ends the core. What it had told stands: terms and votes are persisted, and what was durable is.
void replica::start_over(std::string_view why) {
  runtime::log(log_level::error, "replica_starts_over", {{"log", policy_.log.value}, {"why", why}});
  ++counts_.started_over;
  broken_ = true;
  at_step_ = step::none;
  stop_leading();
  waiting_.clear();
  waiting_bytes_ = 0;
  appended_.clear();
  job_log_.reset();
  retry_at_ns_ = at_.now_ns;
}

// -- beside the thread ---------------------------------------------------------------------------

void replica::submit_job(deed what) {
  job_ = what;
  job_done_ = false;
  if (shared_.environment->helper != nullptr)
    return shared_.environment->helper->submit(*this);
  run();
  job_done_ = true;
}

void replica::run() {
  auto& door = *shared_.environment->door;
  if (job_ == deed::trim) {
    job_result_ = planted(plant::start_not_noted)
                      ? result<>{}
                      : write_replica_state(door, policy_.directory, *job_state_);
    if (job_result_)
      job_result_ = removal_.run(door);
  } else if (job_ == deed::reopen) {
    job_result_ = run_reopen();
  } else {
    auto opened = open_replica(*shared_.environment, policy_, who_);
    job_result_ = opened ? result<>{} : tl::unexpected(opened.error());
    if (opened)
      job_opened_ = std::move(*opened);
  }
}

result<> replica::run_reopen() {
  auto& door = *shared_.environment->door;
  const auto& directory = policy_.directory;
  result<> done;
  if (out_.begin_at) {
    const auto& begin = *out_.begin_at;
    done = begin_replica_at(
        door, directory,
        replica_state::at(policy_.log, begin.start, begin.base_term, begin.members), new_start_,
        new_producers_, ended_);
  } else if (out_.truncate_to) {
    // What is written down of the batches that go must go first.
    if (door.exists(storage::layout::join(directory, storage::layout::replica_name)) &&
        !planted(plant::stale_terms_kept))
      done = write_replica_state(door, directory, *job_state_);
    if (done)
      if (const auto cut = storage::cut_log(
              door, directory, {policy_.log, job_end_, told_committed_, job_state_->base_term});
          !cut)
        done = tl::unexpected(cut.error());
  }
  if (!done)
    return done;
  auto opened = open_replicated_log(*shared_.environment, policy_);
  if (!opened)
    return tl::unexpected(opened.error());
  job_log_ = std::move(*opened);
  return {};
}

void replica::finish() {
  job_done_ = true;
  owner_.wake(*this);
}

void replica::finish_job() {
  if (job_ != deed::none && job_done_) {
    const auto was = std::exchange(job_, deed::none);
    if (was == deed::trim)
      log_->put_back(removal_);
    if (was == deed::reopen && !job_result_)
      start_over("the log could not be opened anew");
    if (was == deed::start_over) {
      if (job_result_) {
        auto found = std::move(*job_opened_);
        job_opened_.reset();
        found.start.committed_end = told_committed_;
        core_ = std::make_unique<raft>(shared_.chosen, found.start, at_);
        may_be_fit_ = told_fit_ = found.start.fit;
        broken_ = false;
        use_log(std::move(found.log));
        out_.clear();
        out_.changed = role_change{core_->now(), core_->current_term(), std::nullopt};
        owner_.told(*this, out_);
        return;
      }
      retry_at_ns_ = at_.now_ns + retry_ns;
    }
  }
  if (broken_ && job_ == deed::none && at_.now_ns >= retry_at_ns_ && let_log_go())
    submit_job(deed::start_over);
}

} // namespace lance::cluster
