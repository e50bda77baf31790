#include "cluster/consumer_offsets.hpp"

#include "cluster/entry.hpp"
#include "wire/fields.hpp"

namespace lance::cluster {

namespace {

constexpr std::size_t committed_bytes = 22;
constexpr std::size_t dropped_bytes = 6;

std::vector<std::byte> bytes_of(const offset_committed& entry) {
  std::vector<std::byte> out(committed_bytes);
  wire::field_writer{out.data()}
      .put(entry_format_version)
      .put(static_cast<std::uint8_t>(entry_kind::offset_committed))
      .put(entry.log)
      .put(entry.consumer_id)
      .put(entry.offset);
  return out;
}

std::vector<std::byte> bytes_of(const offsets_dropped& entry) {
  std::vector<std::byte> out(dropped_bytes);
  wire::field_writer{out.data()}
      .put(entry_format_version)
      .put(static_cast<std::uint8_t>(entry_kind::offsets_dropped))
      .put(entry.log);
  return out;
}

} // namespace

std::vector<std::byte> encode(const offset_entry& entry) {
  return std::visit([](const auto& kind) { return bytes_of(kind); }, entry);
}

result<offset_entry> decode_offset(byte_view bytes) {
  const auto kind = kind_of(bytes);
  if (!kind)
    return tl::unexpected{kind.error()};
  wire::field_reader fields{bytes.subspan(entry_head_bytes)};
  if (*kind == entry_kind::offset_committed && bytes.size() == committed_bytes) {
    const auto log = fields.take<log_id>();
    const auto consumer_id = fields.take<std::uint64_t>();
    return offset_committed{log, consumer_id, fields.take<byte_offset>()};
  }
  if (*kind == entry_kind::offsets_dropped && bytes.size() == dropped_bytes)
    return offsets_dropped{fields.take<log_id>()};
  return fail(errc::bad_format);
}

result<> consumer_offsets::put(book& in, std::size_t limit, const key& at, byte_offset offset) {
  const auto place = in.lower_bound(at);
  if (place != in.end() && place->first == at) {
    place->second = offset;
    return {};
  }
  if (in.size() >= limit)
    return fail(errc::throttled);
  in.emplace_hint(place, at, offset);
  return {};
}

void consumer_offsets::drop(book& from, log_id log) {
  from.erase(from.lower_bound(key{log, 0}), from.upper_bound(key{log, ~std::uint64_t{0}}));
}

result<byte_offset> consumer_offsets::subscribe(log_id log, std::uint64_t consumer_id,
                                                byte_offset requested, byte_offset current_end) {
  auto start = requested;
  if (requested == byte_offset{0})
    start = committed(log, consumer_id).value_or(byte_offset{0});
  else if (requested == subscribe_at_end)
    start = current_end;
  if (const auto kept = put(positions_, positions_max_, {log, consumer_id}, start); !kept)
    return tl::unexpected{kept.error()};
  return start;
}

void consumer_offsets::unsubscribe(log_id log, std::uint64_t consumer_id) {
  positions_.erase({log, consumer_id});
}

result<offset_entry> consumer_offsets::plan_commit(log_id log, std::uint64_t consumer_id,
                                                   byte_offset offset) const {
  if (committed_.size() >= committed_max_ && !committed_.contains({log, consumer_id}))
    return fail(errc::throttled);
  return offset_committed{log, consumer_id, offset};
}

result<> consumer_offsets::apply(const offset_entry& entry) {
  if (const auto* commit = std::get_if<offset_committed>(&entry))
    return put(committed_, committed_max_, {commit->log, commit->consumer_id}, commit->offset);
  const auto log = std::get<offsets_dropped>(entry).log;
  drop(committed_, log);
  drop(positions_, log);
  return {};
}

std::vector<std::vector<std::byte>> consumer_offsets::snapshot() const {
  std::vector<std::vector<std::byte>> entries;
  entries.reserve(committed_.size());
  for (const auto& [at, offset] : committed_)
    entries.push_back(encode(offset_committed{at.log, at.consumer_id, offset}));
  return entries;
}

std::optional<byte_offset> consumer_offsets::committed(log_id log,
                                                       std::uint64_t consumer_id) const {
  const auto at = committed_.find({log, consumer_id});
  return at == committed_.end() ? std::nullopt : std::optional{at->second};
}

std::optional<byte_offset> consumer_offsets::position(log_id log, std::uint64_t consumer_id) const {
  const auto at = positions_.find({log, consumer_id});
  return at == positions_.end() ? std::nullopt : std::optional{at->second};
}

} // namespace lance::cluster
