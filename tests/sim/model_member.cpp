#include "tests/sim/model_member.hpp"

#include <algorithm>
#include <array>

#include "runtime/check.hpp"
#include "runtime/plant.hpp"

namespace lance::sim {

using namespace cluster;

void model_disk::truncate(batch_number to) {
  if (to < end())
    batches.resize(to.value - start.value);
  durable_end = std::min(durable_end, to);
}

model_member::model_member(node_id self, log_id log, const raft_options& chosen, membership members,
                           hooks how)
    : sim_member(self, log, chosen, std::move(how)) {
  disk.first_members = {batch_number{0}, std::move(members)};
}

bool model_member::start(moment at) {
  raft_start found;
  found.log = log_;
  found.self = self_;
  found.current = disk.current;
  found.vote = disk.vote;
  found.start = disk.start;
  found.base_term = disk.base_term;
  found.end = disk.end();
  found.first_members = disk.first_members;
  auto number = disk.start;
  for (const auto& each : disk.batches) {
    if (found.runs.empty() || found.runs.back().in_term != each.in_term)
      found.runs.push_back({number, each.in_term});
    if (each.members)
      found.memberships.push_back({number, *each.members});
    ++number.value;
  }
  disk.durable_end = disk.end(); // recovery has written and synced it once more
  core_ = std::make_unique<raft>(chosen_, found, at);
  dying_ = false;
  return true;
}

void model_member::crash(std::uint64_t kept) {
  core_.reset();
  fetches_.clear();
  disk.truncate(batch_number{std::min(disk.durable_end.value + kept, disk.end().value)});
}

// -- inputs --------------------------------------------------------------------------------------

void model_member::tick(moment at) {
  core_->tick(at, out_);
  perform(at, nullptr);
}

void model_member::receive(moment at, const letter& what) {
  core_->receive(at, what.what, out_);
  perform(at, &what);
}

std::optional<batch_number> model_member::propose(moment at, std::uint64_t id,
                                                  std::uint64_t bytes) {
  if (!core_->accepting())
    return std::nullopt;
  const auto number = disk.end();
  const auto now = core_->current_term();
  disk.batches.push_back({now, id, std::nullopt, bytes});
  core_->appended(at, {number, batch_number{number.value + 1}, now, bytes, std::nullopt}, out_);
  perform(at, nullptr);
  return number;
}

void model_member::append_control(moment at, const control_batch& what) {
  const auto number = disk.end();
  const auto now = core_->current_term();
  disk.batches.push_back({now, 0, what.members, 120});
  core_->appended(at, {number, batch_number{number.value + 1}, now, 120, what}, out_);
  perform(at, nullptr);
}

result<> model_member::change(moment at, membership_step step, node_id node) {
  const auto done = core_->change_members(at, step, node, out_);
  perform(at, nullptr);
  return done;
}

result<> model_member::transfer(moment at, node_id to) {
  const auto done = core_->transfer(at, to, out_);
  perform(at, nullptr);
  return done;
}

result<> model_member::read(moment at, std::uint64_t token) {
  const auto done = core_->read(at, token, out_);
  perform(at, nullptr);
  return done;
}

void model_member::set_fit(moment at, bool fit) {
  core_->set_fit(at, fit, out_);
  perform(at, nullptr);
}

bool model_member::trim(moment, batch_number to) {
  const auto& log = core_->log();
  if (to <= disk.start || to > log.committed_end || to > log.durable_end)
    return false;
  disk.base_term = disk.at(batch_number{to.value - 1}).in_term;
  disk.first_members = log.members.before(to);
  disk.batches.erase(disk.batches.begin(), disk.batches.begin() + static_cast<std::ptrdiff_t>(
                                                                      to.value - disk.start.value));
  disk.start = to;
  core_->trimmed(to);
  return true;
}

// -- the disk ------------------------------------------------------------------------------------

model_member::flush model_member::begin_flush() const {
  return {disk.end(), core_->generation()};
}

void model_member::end_flush(moment at, const flush& what, std::uint64_t took_ns) {
  if (what.generation == core_->generation())
    disk.durable_end = std::max(disk.durable_end, what.end);
  core_->durable(at, {what.end, what.generation, took_ns}, out_);
  perform(at, nullptr);
}

bool model_member::answer_fetch(moment at, std::uint64_t batches, bool whole_file) {
  if (fetches_.empty())
    return false;
  const auto asked = fetches_.front();
  fetches_.erase(fetches_.begin());
  fetched_range got{asked.to, asked.from, asked.from, 0, whole_file};
  while (got.end < disk.durable_end && got.end >= disk.start &&
         got.end.value < asked.from.value + batches) {
    got.bytes += disk.at(got.end).bytes;
    ++got.end.value;
  }
  core_->fetched(at, got, out_);
  perform(at, nullptr);
  return true;
}

bool model_member::fail_fetch(moment at) {
  if (fetches_.empty())
    return false;
  const auto asked = fetches_.front();
  fetches_.erase(fetches_.begin());
  core_->fetch_failed(at, asked.to, out_);
  perform(at, nullptr);
  return true;
}

// -- an output -----------------------------------------------------------------------------------

void model_member::perform(moment at, const letter* incoming) {
  if (dying_ || !pass(deed::begin))
    return;
  if (out_.persist) {
    disk.current = out_.persist->current;
    disk.vote = out_.persist->vote;
    if (!pass(deed::persisted))
      return;
  }
  if (out_.begin_at) {
    disk.batches.clear();
    disk.start = disk.durable_end = out_.begin_at->start;
    disk.base_term = out_.begin_at->base_term;
    disk.first_members = out_.begin_at->members;
    if (!pass(deed::begun_at))
      return;
  }
  if (out_.truncate_to) {
    disk.truncate(*out_.truncate_to);
    if (!pass(deed::truncated))
      return;
  }
  if (out_.write) {
    LANCE_CHECK(incoming != nullptr);
    const auto& sent = std::get<append>(incoming->what.body);
    // As storage's appender: a batch that does not follow is refused.
    LANCE_CHECK(out_.write->from == disk.end(), out_.write->from.value, disk.end().value);
    for (auto number = out_.write->from; number < out_.write->end; ++number.value)
      disk.batches.push_back(incoming->batches.at(number.value - sent.from.value));
    if (!pass(deed::written))
      return;
  }
  how_.saw(out_);
  if (!pass(deed::told))
    return;
  for (const auto& each : out_.send) {
    letter made{each, {}, {}};
    if (const auto* sent = std::get_if<append>(&each.body))
      for (auto number = sent->from; number < sent->end; ++number.value)
        made.batches.push_back(disk.at(number));
    how_.send(std::move(made));
  }
  for (const auto& each : out_.fetch)
    fetches_.push_back(each);
  if (!pass(deed::sent) || !out_.append)
    return;
  const auto control = *out_.append;
  append_control(at, control);
}

std::string_view name_of(const message& what) {
  constexpr std::array<std::string_view, 8> names{"vote_request", "vote_reply", "append",
                                                  "append_reply", "beat",       "beat_reply",
                                                  "timeout_now",  "rebase"};
  static_assert(names.size() == std::variant_size_v<decltype(message::body)>);
  return names.at(what.body.index());
}

} // namespace lance::sim
