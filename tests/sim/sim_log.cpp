#include "tests/sim/sim_log.hpp"

namespace lance::sim {

sim_log::sim_log(log_world& world, std::unique_ptr<storage::log> opened,
                 const storage::log_environment& environment, runtime::buffer_pool& pool)
    : world_(world), environment_(environment), log_(std::move(opened)),
      appender_(log_->start(), environment.chosen, pool, {node_id{1}, 0}) {}

result<> sim_log::append(const storage::append_request& request, std::size_t sent, answer done) {
  const auto sealed = appender_.append(request);
  if (!sealed)
    return tl::unexpected(sealed.error());
  world_.history.appended(*sealed, sent);
  waiting_.push_back({sealed->header.number, std::move(done)});
  return {};
}

storage::producer_verdict sim_log::judge(const storage::producer_stamp& stamp,
                                         std::uint64_t wall_ns, const answer& done) {
  const auto judged = appender_.judge(stamp, wall_ns);
  if (judged.verdict == storage::producer_verdict::duplicate) {
    waiting_.push_back({judged.newest, done});
    repeated_ = true;
  }
  return judged.verdict;
}

void sim_log::collect() {
  while (appender_.collect(run_))
    log_->submit(run_);
  if (std::exchange(repeated_, false))
    log_->submit(run_);
}

void sim_log::settle(std::uint64_t now_ns) {
  collect();
  log_->pump(now_ns);
  const auto progress = log_->take_progress();
  world_.history.durable(progress.durable_next);
  while (!waiting_.empty() && waiting_.front().number < progress.durable_next) {
    const auto told = std::move(waiting_.front());
    waiting_.pop_front();
    told.done(true);
  }
  while (progress.failed && !waiting_.empty() && waiting_.front().number < progress.failed_end) {
    const auto told = std::move(waiting_.front());
    waiting_.pop_front();
    told.done(false);
  }
  if (progress.grant_changed)
    appender_.set_grant(progress.grant);
}

void sim_log::enforce_retention(std::uint64_t wall_ns) {
  if (removal_.busy)
    return;
  const auto plan = log_->plan_retention(wall_ns);
  if (plan.end_active)
    if (const auto ended = appender_.end_segment()) {
      collect();
      log_->end_segment(*ended);
    }
  if (plan.drop > 0)
    removal_.what = log_->take_before(log_->segment_at(plan.drop - 1).end_number());
  world_.retention.taken(removal_.what, *log_, wall_ns);
  if (removal_.what.empty())
    return;
  removal_.busy = true;
  environment_.helper->submit(removal_);
}

void sim_log::removed() {
  removal_.busy = false;
  log_->put_back(removal_.what);
  removal_.what = {};
  if (removal_.outcome)
    world_.retention.done();
}

} // namespace lance::sim
