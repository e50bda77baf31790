#include "wire/batch_commands.hpp"

#include "wire/fields.hpp"

namespace lance::wire {

namespace {

constexpr std::size_t offset_lookup_bytes = 16;
constexpr std::size_t offset_reply_bytes = 24;
constexpr std::size_t fetch_batches_bytes = 32;

batch_entry take_entry(byte_view from) noexcept {
  field_reader fields{from};
  return {fields.take<byte_offset>(), fields.take<record_number>(), fields.take<std::uint64_t>(),
          fields.take<std::uint32_t>(), fields.take<std::uint32_t>()};
}

batches_head take_head(byte_view from) noexcept {
  field_reader fields{from};
  return {fields.take<byte_offset>(), fields.take<record_number>(), fields.take<byte_offset>(),
          fields.take<std::uint32_t>()};
}

} // namespace

std::array<std::byte, 16> encode(const offset_lookup_request& request) noexcept {
  std::array<std::byte, offset_lookup_bytes> out{};
  store_le(out.data(), request.log.value);
  out[4] = static_cast<std::byte>(request.kind);
  store_le(out.data() + 8, request.value);
  return out;
}

std::array<std::byte, 24> encode(const offset_lookup_reply& reply) noexcept {
  std::array<std::byte, offset_reply_bytes> out{};
  field_writer{out.data()}.put(reply.offset).put(reply.first_record).put(reply.time_ns);
  return out;
}

result<offset_lookup_request> decode_offset_lookup(byte_view payload) noexcept {
  if (payload.size() < offset_lookup_bytes)
    return fail(errc::invalid_request);
  const auto kind = std::to_integer<std::uint8_t>(payload[4]);
  if (kind > static_cast<std::uint8_t>(lookup_kind::time_ns))
    return fail(errc::invalid_request);
  return offset_lookup_request{log_id{load_le<std::uint32_t>(payload.data())},
                               static_cast<lookup_kind>(kind),
                               load_le<std::uint64_t>(payload.data() + 8)};
}

result<offset_lookup_reply> decode_offset_reply(byte_view payload) noexcept {
  if (payload.size() < offset_reply_bytes)
    return fail(errc::invalid_request);
  field_reader fields{payload};
  return offset_lookup_reply{fields.take<byte_offset>(), fields.take<record_number>(),
                             fields.take<std::uint64_t>()};
}

std::array<std::byte, 32> encode(const fetch_batches_request& request) noexcept {
  std::array<std::byte, fetch_batches_bytes> out{};
  field_writer{out.data()}
      .put(request.log)
      .put(std::uint32_t{0}) // flags
      .put(request.start)
      .put(request.max_bytes)
      .put(request.max_wait_ms)
      .put(request.min_bytes);
  return out;
}

std::array<std::byte, batches_head_bytes> encode(const batches_head& head) noexcept {
  std::array<std::byte, batches_head_bytes> out{};
  field_writer{out.data()}
      .put(head.next)
      .put(head.start_record)
      .put(head.end)
      .put(head.batch_count);
  return out;
}

std::array<std::byte, batch_entry_bytes> encode(const batch_entry& entry) noexcept {
  std::array<std::byte, batch_entry_bytes> out{};
  field_writer{out.data()}
      .put(entry.offset)
      .put(entry.first_record)
      .put(entry.time_ns)
      .put(entry.record_count)
      .put(entry.payload_length);
  return out;
}

result<fetch_batches_request> decode_fetch_batches(byte_view payload) noexcept {
  if (payload.size() < fetch_batches_bytes)
    return fail(errc::invalid_request);
  field_reader fields{payload};
  const auto log = fields.take<log_id>();
  const auto flags = fields.take<std::uint32_t>();
  const fetch_batches_request request{log, fields.take<byte_offset>(), fields.take<std::uint32_t>(),
                                      fields.take<std::uint32_t>(), fields.take<std::uint32_t>()};
  if (flags != 0 || request.max_wait_ms > fetch_wait_ms_max)
    return fail(errc::invalid_request);
  return request;
}

result<batches_view> batches_view::decode(byte_view payload) noexcept {
  if (payload.size() < batches_head_bytes)
    return fail(errc::invalid_request);
  const auto head = take_head(payload);
  const auto rest = payload.subspan(batches_head_bytes);
  const auto entry_bytes = std::uint64_t{head.batch_count} * batch_entry_bytes;
  if (rest.size() < entry_bytes)
    return fail(errc::invalid_request);
  const auto entries = rest.first(entry_bytes);
  const auto data = rest.subspan(entry_bytes);
  std::uint64_t used = 0;
  for (std::size_t at = 0; at < entries.size(); at += batch_entry_bytes)
    used += take_entry(entries.subspan(at)).payload_length;
  if (data.size() < used)
    return fail(errc::invalid_request);
  return batches_view{head, entries, data.first(used)};
}

std::optional<fetched_batch> batches_view::next() noexcept {
  if (entries_.empty())
    return std::nullopt;
  const auto entry = take_entry(entries_);
  const auto payload = data_.first(entry.payload_length);
  entries_ = entries_.subspan(batch_entry_bytes);
  data_ = data_.subspan(entry.payload_length);
  return fetched_batch{entry, payload};
}

// --- producers ---------------------------------------------------------------------------------

std::array<std::byte, 16> encode(const producer_identity& who) noexcept {
  std::array<std::byte, 16> out{};
  field_writer{out.data()}.put(who.producer).put(who.epoch);
  return out;
}

result<producer_identity> decode_producer(byte_view payload) noexcept {
  if (payload.size() < 16)
    return fail(errc::invalid_request);
  field_reader fields{payload};
  const producer_identity who{fields.take<std::uint64_t>(), fields.take<std::uint32_t>()};
  if (who.producer == 0 && who.epoch != 0)
    return fail(errc::invalid_request);
  return who;
}

} // namespace lance::wire
