#include "cluster/message_bytes.hpp"

#include <algorithm>
#include <functional>
#include <optional>

#include "cluster/byte_fields.hpp"
#include "runtime/check.hpp"

namespace lance::cluster {

namespace {

constexpr std::size_t head_bytes = 20;
constexpr std::size_t length_bytes = 4;

enum class entry : std::uint8_t {
  vote_request = 1,
  vote_reply = 2,
  append = 3,
  append_reply = 4,
  beat = 5,
  beat_reply = 6,
  timeout_now = 7,
  rebase = 8,
};

// One bit each; what a kind does not know is 0.
constexpr std::uint8_t flag_pre = 1;
constexpr std::uint8_t flag_forced = 2;
constexpr std::uint8_t flag_yes = 4; // granted, accepted
constexpr std::uint8_t flag_whole_file = 8;

struct head {
  entry kind;
  std::uint8_t flags;
};

head head_of(const vote_request& body) {
  return {entry::vote_request,
          static_cast<std::uint8_t>((body.pre ? flag_pre : 0) | (body.forced ? flag_forced : 0))};
}
head head_of(const vote_reply& body) {
  return {entry::vote_reply,
          static_cast<std::uint8_t>((body.pre ? flag_pre : 0) | (body.granted ? flag_yes : 0))};
}
head head_of(const append& body) {
  return {entry::append, body.whole_file ? flag_whole_file : std::uint8_t{0}};
}
head head_of(const append_reply& body) {
  return {entry::append_reply, body.accepted ? flag_yes : std::uint8_t{0}};
}
head head_of(const beat&) {
  return {entry::beat, 0};
}
head head_of(const beat_reply&) {
  return {entry::beat_reply, 0};
}
head head_of(const timeout_now&) {
  return {entry::timeout_now, 0};
}
head head_of(const rebase&) {
  return {entry::rebase, 0};
}

void put(growing_writer& out, const vote_request& body) {
  out.put(body.last);
}
void put(growing_writer& out, const vote_reply& body) {
  out.put(body.asked);
}
void put(growing_writer& out, const append& body) {
  LANCE_CHECK(body.runs.size() <= runs_max && body.memberships.size() <= memberships_max,
              body.runs.size(), body.memberships.size());
  out.put(body.sequence)
      .put(body.from)
      .put(body.end)
      .put(body.previous_term)
      .put(body.committed_end)
      .put(static_cast<std::uint32_t>(body.runs.size()))
      .put(static_cast<std::uint32_t>(body.memberships.size()));
  for (const auto& run : body.runs)
    out.put(run.first).put(run.in_term);
  for (const auto& held : body.memberships)
    out.put(held);
}
void put(growing_writer& out, const append_reply& body) {
  out.put(body.sequence)
      .put(body.durable_end)
      .put(body.received_end)
      .put(body.hint)
      .put(body.flush_ns);
}
void put(growing_writer& out, const beat& body) {
  out.put(body.committed_end).put(body.round);
}
void put(growing_writer& out, const beat_reply& body) {
  out.put(body.round).put(body.durable_end).put(body.received_end);
}
void put(growing_writer& out, const timeout_now& body) {
  out.put(body.end);
}
void put(growing_writer& out, const rebase& body) {
  out.put(body.sequence).put(body.start).put(body.base_term).put(body.members);
}

bool runs_fit(const append& body, term of_message) {
  if (body.from >= body.end)
    return body.from == body.end && body.runs.empty();
  if (body.runs.empty() || body.runs.front().first != body.from ||
      body.runs.front().in_term < body.previous_term || body.runs.back().first >= body.end ||
      body.runs.back().in_term > of_message)
    return false;
  const auto rises = [](const term_run& a, const term_run& b) {
    return a.first < b.first && a.in_term < b.in_term;
  };
  return std::ranges::adjacent_find(body.runs, std::not_fn(rises)) == body.runs.end();
}

bool memberships_fit(const append& body) {
  const auto rises = [](const membership_at& a, const membership_at& b) { return a.at < b.at; };
  return std::ranges::all_of(body.memberships,
                             [&body](const membership_at& held) {
                               return held.at >= body.from && held.at < body.end;
                             }) &&
         std::ranges::adjacent_find(body.memberships, std::not_fn(rises)) == body.memberships.end();
}

append take_append(careful_reader& in, std::uint8_t flags, term of_message) {
  constexpr std::size_t run_bytes = 16;
  append body;
  body.whole_file = (flags & flag_whole_file) != 0;
  body.sequence = in.take<std::uint64_t>();
  body.from = in.take<batch_number>();
  body.end = in.take<batch_number>();
  body.previous_term = in.take<term>();
  body.committed_end = in.take<batch_number>();
  const auto runs = in.take<std::uint32_t>();
  const auto memberships = in.take<std::uint32_t>();
  if (runs > runs_max || memberships > memberships_max || runs * run_bytes > in.left()) {
    in.refuse();
    return body;
  }
  body.runs.reserve(runs);
  for (std::uint32_t i = 0; i < runs; ++i) {
    const auto first = in.take<batch_number>();
    body.runs.push_back({first, in.take<term>()});
  }
  for (std::uint32_t i = 0; i < memberships && in.ok(); ++i)
    body.memberships.push_back(in.take_membership());
  if (!runs_fit(body, of_message) || !memberships_fit(body))
    in.refuse();
  return body;
}

append_reply take_append_reply(careful_reader& in, std::uint8_t flags) {
  append_reply body;
  body.accepted = (flags & flag_yes) != 0;
  body.sequence = in.take<std::uint64_t>();
  body.durable_end = in.take<batch_number>();
  body.received_end = in.take<batch_number>();
  body.hint = in.take_place();
  body.flush_ns = in.take<std::uint64_t>();
  return body;
}

rebase take_rebase(careful_reader& in) {
  rebase body;
  body.sequence = in.take<std::uint64_t>();
  body.start = in.take<batch_number>();
  body.base_term = in.take<term>();
  body.members = in.take_membership();
  return body;
}

using message_body = decltype(message::body);

// Nothing for a kind that is none.
std::optional<message_body> take_body(careful_reader& in, entry kind, std::uint8_t flags,
                                      term of_message) {
  switch (kind) {
  case entry::vote_request:
    return vote_request{(flags & flag_pre) != 0, (flags & flag_forced) != 0, in.take_place()};
  case entry::vote_reply:
    return vote_reply{(flags & flag_pre) != 0, (flags & flag_yes) != 0, in.take<term>()};
  case entry::append:
    return take_append(in, flags, of_message);
  case entry::append_reply:
    return take_append_reply(in, flags);
  case entry::beat: {
    const auto committed = in.take<batch_number>();
    return beat{committed, in.take<std::uint64_t>()};
  }
  case entry::beat_reply: {
    const auto round = in.take<std::uint64_t>();
    const auto durable = in.take<batch_number>();
    return beat_reply{round, durable, in.take<batch_number>()};
  }
  case entry::timeout_now:
    return timeout_now{in.take<batch_number>()};
  case entry::rebase:
    return take_rebase(in);
  }
  return std::nullopt;
}

} // namespace

void append_message(std::vector<std::byte>& body, const message& what) {
  const auto begin = body.size();
  const auto [kind, flags] = std::visit([](const auto& each) { return head_of(each); }, what.body);
  growing_writer out{body};
  out.put(std::uint32_t{0})
      .put(static_cast<std::uint8_t>(kind))
      .put(flags)
      .put(std::uint16_t{0})
      .put(what.log)
      .put(what.in_term);
  std::visit([&out](const auto& each) { put(out, each); }, what.body);
  store_le(body.data() + begin, static_cast<std::uint32_t>(body.size() - begin));
}

result<message> message_reader::next() {
  if (rest_.size() < head_bytes)
    return fail(errc::bad_format);
  const auto length = load_le<std::uint32_t>(rest_.data());
  if (length < head_bytes || length > rest_.size())
    return fail(errc::bad_format);
  careful_reader in{rest_.subspan(length_bytes, length - length_bytes)};
  rest_ = rest_.subspan(length);
  const auto kind = static_cast<entry>(in.take<std::uint8_t>());
  const auto flags = in.take<std::uint8_t>();
  const auto unused = in.take<std::uint16_t>();
  message what;
  what.from = from_;
  what.to = to_;
  what.log = in.take<log_id>();
  what.in_term = in.take<term>();
  auto body = take_body(in, kind, flags, what.in_term);
  if (!body || !in.whole() || unused != 0)
    return fail(errc::bad_format);
  what.body = std::move(*body);
  const auto known = std::visit([](const auto& each) { return head_of(each).flags; }, what.body);
  if (known != flags)
    return fail(errc::bad_format);
  return what;
}

} // namespace lance::cluster
