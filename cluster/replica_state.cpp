#include "cluster/replica_state.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "cluster/byte_fields.hpp"
#include "runtime/check.hpp"
#include "wire/checksum.hpp"

namespace lance::cluster {

namespace {

constexpr std::array<std::uint8_t, 8> magic{'L', 'N', 'C', 'R', 'E', 'P', 0, 1};
constexpr std::size_t sum_bytes = sizeof(std::uint32_t);

std::uint32_t sum_of(byte_view bytes) {
  return wire::checksum(wire::checksum_kind::castagnoli, bytes);
}

bool rises(const replica_state& state) {
  const auto inside = [&](batch_number at) { return at >= state.start && at < state.end; };
  if (state.start > state.end || state.first_members.at >= state.start ||
      state.runs.empty() != (state.start == state.end))
    return false;
  auto last = state.base_term;
  auto from = state.start;
  for (std::size_t at = 0; at < state.runs.size(); ++at) {
    const auto& run = state.runs[at];
    const bool first = at == 0;
    if (!inside(run.first) || run.in_term < last || (!first && run.in_term == last) ||
        (first ? run.first != from : run.first <= from))
      return false;
    last = run.in_term;
    from = run.first;
  }
  auto before = batch_number{state.start.value - 1};
  for (const auto& each : state.memberships) {
    if (!inside(each.at) || each.at <= before)
      return false;
    before = each.at;
  }
  return true;
}

} // namespace

replica_state replica_state::at(log_id log, batch_number start, term base_term,
                                membership_at held) {
  return {log, start, base_term, std::move(held), start, {}, {}};
}

result<> replica_state::add(batch_number number, term in_term,
                            const std::optional<control_batch>& control) {
  if (number != end || in_term < last_term())
    return fail(errc::corrupt);
  if (runs.empty() || in_term > last_term())
    runs.push_back({number, in_term});
  if (control && control->members)
    memberships.push_back({number, *control->members});
  end = batch_number{number.value + 1};
  return {};
}

void replica_state::truncate(batch_number to) {
  LANCE_CHECK(to >= start, to.value, start.value);
  std::erase_if(runs, [to](const auto& each) { return each.first >= to; });
  std::erase_if(memberships, [to](const auto& each) { return each.at >= to; });
  end = std::min(end, to);
}

raft_start replica_state::begin(node_id self, const std::optional<vote_record>& promised,
                                bool sound) const {
  raft_start made;
  made.log = log;
  made.self = self;
  made.start = start;
  made.base_term = base_term;
  made.runs = runs;
  made.end = end;
  made.first_members = first_members;
  made.memberships = memberships;
  made.fit = sound;
  if (promised) {
    LANCE_CHECK(promised->log == log, promised->log.value, log.value);
    made.current = promised->current;
    made.vote = promised->vote;
  }
  if (made.current < last_term()) {
    made.current = last_term();
    made.vote.reset();
    made.fit = false;
  }
  return made;
}

replica_state state_of(log_id log, const replica_log& known, batch_number start) {
  const auto end = known.terms.end();
  return {log,
          start,
          known.terms.before(start),
          known.members.before(start),
          end,
          known.terms.runs(start, end),
          known.members.within(start, end)};
}

result<std::vector<std::byte>> encode(const replica_state& state) {
  std::vector<std::byte> bytes;
  growing_writer out{bytes};
  for (const auto each : magic)
    out.put(each);
  out.put(state.log)
      .put(std::uint32_t{0})
      .put(state.start)
      .put(state.base_term)
      .put(state.end)
      .put(static_cast<std::uint32_t>(state.runs.size()))
      .put(static_cast<std::uint32_t>(state.memberships.size()))
      .put(state.first_members);
  for (const auto& each : state.runs)
    out.put(each.first).put(each.in_term);
  for (const auto& each : state.memberships)
    out.put(each);
  out.put(sum_of(bytes));
  if (bytes.size() > replica_state_bytes_max)
    return fail(errc::too_large);
  return bytes;
}

result<replica_state> decode_replica_state(byte_view bytes) {
  if (bytes.size() < sum_bytes + magic.size() ||
      std::memcmp(bytes.data(), magic.data(), magic.size()) != 0)
    return fail(errc::bad_format);
  const auto summed = bytes.first(bytes.size() - sum_bytes);
  if (load_le<std::uint32_t>(bytes.data() + summed.size()) != sum_of(summed))
    return fail(errc::bad_format);
  careful_reader in{summed.subspan(magic.size())};
  replica_state state;
  state.log = in.take<log_id>();
  if (in.take<std::uint32_t>() != 0)
    in.refuse();
  state.start = in.take<batch_number>();
  state.base_term = in.take<term>();
  state.end = in.take<batch_number>();
  const auto runs = in.take<std::uint32_t>();
  const auto memberships = in.take<std::uint32_t>();
  state.first_members = in.take_membership();
  for (std::uint32_t i = 0; i < runs && in.ok(); ++i) {
    const auto first = in.take<batch_number>();
    state.runs.push_back({first, in.take<term>()});
  }
  for (std::uint32_t i = 0; i < memberships && in.ok(); ++i)
    state.memberships.push_back(in.take_membership());
  if (!in.whole() || !rises(state))
    return fail(errc::bad_format);
  return state;
}

} // namespace lance::cluster
