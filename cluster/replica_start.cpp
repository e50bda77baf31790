#include "cluster/replica_start.hpp"

#include "runtime/check.hpp"

namespace lance::cluster {

replica_start::replica_start(log_id log, node_id self, batch_number start, term base_term,
                             membership_at held)
    : last_(base_term) {
  found_.log = log;
  found_.self = self;
  found_.start = start;
  found_.base_term = base_term;
  found_.end = start;
  found_.first_members = std::move(held);
}

result<> replica_start::add(batch_number number, term in_term,
                            const std::optional<control_batch>& control) {
  if (number != found_.end || in_term < last_)
    return fail(errc::corrupt);
  if (found_.runs.empty() || in_term > last_)
    found_.runs.push_back({number, in_term});
  if (control && control->members)
    found_.memberships.push_back({number, *control->members});
  last_ = in_term;
  found_.end = batch_number{number.value + 1};
  return {};
}

raft_start replica_start::finish(const std::optional<vote_record>& promised, bool sound) const {
  auto made = found_;
  made.fit = sound;
  if (promised) {
    LANCE_CHECK(promised->log == made.log, promised->log.value, made.log.value);
    made.current = promised->current;
    made.vote = promised->vote;
  }
  if (made.current < last_) {
    made.current = last_;
    made.vote.reset();
    made.fit = false;
  }
  return made;
}

} // namespace lance::cluster
