#include "cluster/control_entry.hpp"

#include "runtime/check.hpp"
#include "wire/fields.hpp"

namespace lance::cluster {

namespace {

constexpr std::uint8_t term_begins = 1;
constexpr std::uint8_t members_are = 2;
constexpr std::uint8_t format_version = 1;
constexpr std::size_t head_bytes = 2;
constexpr std::size_t counts_bytes = 2;

result<membership> take_members(byte_view from) {
  if (from.size() < counts_bytes)
    return fail(errc::bad_format);
  wire::field_reader in{from};
  const std::size_t voters = in.take<std::uint8_t>();
  const std::size_t learners = in.take<std::uint8_t>();
  const auto count = voters + learners;
  if (count > members_max || from.size() != counts_bytes + count * sizeof(std::uint16_t))
    return fail(errc::bad_format);
  membership members;
  for (std::size_t at = 0; at < count; ++at)
    (at < voters ? members.voters : members.learners).push_back(in.take<node_id>());
  return well_formed(members) ? result<membership>{std::move(members)} : fail(errc::bad_format);
}

} // namespace

std::vector<std::byte> encode(const control_batch& what) {
  if (!what.members)
    return {std::byte{term_begins}, std::byte{format_version}};
  const auto& [voters, learners] = *what.members;
  LANCE_CHECK(well_formed(*what.members), voters.size(), learners.size());
  std::vector<std::byte> bytes(head_bytes + counts_bytes +
                               (voters.size() + learners.size()) * sizeof(std::uint16_t));
  wire::field_writer out{bytes.data()};
  out.put(members_are)
      .put(format_version)
      .put(static_cast<std::uint8_t>(voters.size()))
      .put(static_cast<std::uint8_t>(learners.size()));
  for (const auto* nodes : {&voters, &learners})
    for (const auto node : *nodes)
      out.put(node);
  return bytes;
}

result<control_batch> decode_control(byte_view payload) {
  if (payload.size() < head_bytes || payload.size() > control_entry_bytes_max)
    return fail(errc::bad_format);
  wire::field_reader in{payload};
  const auto kind = in.take<std::uint8_t>();
  const auto version = in.take<std::uint8_t>();
  if ((kind != term_begins && kind != members_are) || version != format_version)
    return fail(errc::unsupported);
  const auto rest = payload.subspan(head_bytes);
  if (kind == term_begins)
    return rest.empty() ? result<control_batch>{control_batch{}} : fail(errc::bad_format);
  auto members = take_members(rest);
  if (!members)
    return tl::unexpected(members.error());
  return control_batch{std::move(*members)};
}

} // namespace lance::cluster
