#include "cluster/log_terms.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace lance::cluster {

namespace {

// The run that holds the batch, or runs.end() when it is before the first.
template <class Runs>
auto run_of(Runs& runs, batch_number number) noexcept {
  const auto behind = std::ranges::upper_bound(runs, number, {}, &term_run::first);
  return behind == runs.begin() ? runs.end() : std::prev(behind);
}

batch_number end_of(std::span<const term_run> runs, std::size_t at, batch_number end) noexcept {
  return at + 1 < runs.size() ? std::min(runs[at + 1].first, end) : end;
}

} // namespace

term log_terms::before(batch_number end) const noexcept {
  LANCE_CHECK(end >= start_ && end <= end_, end.value, end_.value);
  if (end == start_)
    return base_;
  return run_of(runs_, batch_number{end.value - 1})->in_term;
}

std::vector<term_run> log_terms::runs(batch_number from, batch_number end) const {
  std::vector<term_run> found;
  if (from >= end)
    return found;
  LANCE_CHECK(from >= start_ && end <= end_, from.value, end.value);
  auto at = run_of(runs_, from);
  found.push_back({from, at->in_term});
  for (++at; at != runs_.end() && at->first < end; ++at)
    found.push_back(*at);
  return found;
}

batch_number log_terms::first_difference(batch_number from, std::span<const term_run> theirs,
                                         batch_number end) const noexcept {
  const auto both = std::min(end, end_);
  for (std::size_t i = 0; i < theirs.size(); ++i) {
    auto at = std::max(from, theirs[i].first);
    const auto until = std::min(end_of(theirs, i, end), both);
    while (at < until) {
      const auto mine = run_of(runs_, at);
      if (mine->in_term != theirs[i].in_term)
        return at;
      const auto next = std::next(mine);
      at = next == runs_.end() ? until : std::min(next->first, until);
    }
  }
  return std::max(from, both);
}

term_position log_terms::last_place(batch_number below, term at_most) const noexcept {
  auto end = std::clamp(below, start_, end_);
  while (end > start_ && before(end) > at_most)
    end = run_of(runs_, batch_number{end.value - 1})->first;
  return {end, before(end)};
}

void log_terms::append(batch_number end, term in_term) {
  LANCE_CHECK(end >= end_ && in_term >= last_term(), in_term.value, last_term().value);
  if (end == end_)
    return;
  if (runs_.empty() || runs_.back().in_term != in_term)
    runs_.push_back({end_, in_term});
  end_ = end;
}

void log_terms::append(std::span<const term_run> runs, batch_number from, batch_number end) {
  LANCE_CHECK(from == end_, from.value, end_.value);
  for (std::size_t i = 0; i < runs.size(); ++i)
    if (const auto until = end_of(runs, i, end); until > end_)
      append(until, runs[i].in_term);
  LANCE_CHECK(end_ == end, end_.value, end.value);
}

void log_terms::truncate(batch_number end) noexcept {
  LANCE_CHECK(end >= start_, end.value, start_.value);
  end_ = std::min(end_, end);
  while (!runs_.empty() && runs_.back().first >= end_)
    runs_.pop_back();
}

void log_terms::drop_before(batch_number start) noexcept {
  LANCE_CHECK(start <= end_, start.value, end_.value);
  if (start <= start_)
    return;
  base_ = before(start);
  start_ = start;
  if (start == end_) {
    runs_.clear();
    return;
  }
  runs_.erase(runs_.begin(), run_of(runs_, start));
  runs_.front().first = start;
}

} // namespace lance::cluster
