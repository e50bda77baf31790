#include "cluster/batch_copies.hpp"

#include <algorithm>

#include "cluster/control_entry.hpp"
#include "storage/batch_header.hpp"

namespace lance::cluster {

namespace {

term term_at(const append& sent, batch_number number) {
  const auto after = std::ranges::upper_bound(sent.runs, number, {}, &term_run::first);
  return after == sent.runs.begin() ? term{} : std::prev(after)->in_term;
}

// What the message says of memberships is what the batches say.
result<> judge_control(const append& sent, const storage::batch_header& header, byte_view payload) {
  const auto told = std::ranges::find(sent.memberships, header.number, &membership_at::at);
  std::optional<membership> held;
  if (header.has(storage::batch_flag::control)) {
    auto control = decode_control(payload);
    if (!control)
      return tl::unexpected(control.error());
    held = std::move(control->members);
  }
  const bool same = told == sent.memberships.end() ? !held : held && *held == told->members;
  return same ? result<>{} : fail(errc::bad_format);
}

} // namespace

result<std::vector<batch_copy>> take_copies(log_id log, const append& sent, byte_view beside) {
  std::vector<batch_copy> found;
  for (auto number = sent.from; number < sent.end; ++number.value) {
    const auto header = storage::decode(beside);
    if (!header || beside.size() < header->image_bytes() || header->log != log ||
        header->number != number || header->in_term != term_at(sent, number))
      return fail(errc::bad_format);
    const auto payload = beside.subspan(storage::batch_header_bytes, header->payload_length);
    if (wire::checksum(header->payload_sum(), payload) != header->payload_crc)
      return fail(errc::bad_format);
    if (const auto fits = judge_control(sent, *header, payload); !fits)
      return tl::unexpected(fits.error());
    found.push_back({number, beside.first(storage::batch_header_bytes), payload});
    beside = beside.subspan(header->image_bytes());
  }
  if (!beside.empty())
    return fail(errc::bad_format);
  return found;
}

} // namespace lance::cluster
