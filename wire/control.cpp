#include "wire/control.hpp"

#include <algorithm>

#include "runtime/check.hpp"
#include "wire/fields.hpp"

namespace lance::wire {

namespace {

constexpr std::size_t topic_id_bytes = 4;
constexpr std::size_t set_retention_bytes = 20;
constexpr std::size_t retention_bytes = 16;
constexpr std::size_t name_length_bytes = 2;
constexpr std::size_t fetch_bytes = 16;
constexpr std::size_t subscribe_bytes = 24;
constexpr std::size_t unsubscribe_bytes = 12;
constexpr std::size_t commit_offset_bytes = 20;
constexpr std::size_t catching_up_bytes = 8;
constexpr std::size_t consumer_ack_bytes = 16;

bool name_character(char c) noexcept {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

bool continuation(std::byte b) noexcept {
  return (b & std::byte{0xC0}) == std::byte{0x80};
}

// How many bytes the UTF-8 sequence at the front has; 0 when it is none. Overlong forms,
// surrogates and numbers above U+10FFFF are none.
std::size_t utf8_sequence(byte_view bytes) noexcept {
  const auto first = std::to_integer<unsigned>(bytes[0]);
  if (first < 0x80)
    return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || bytes.size() < length)
    return 0;
  const auto second = std::to_integer<unsigned>(bytes[1]);
  const bool out_of_range = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
                            (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  const auto rest = bytes.subspan(1, length - 1);
  return !out_of_range && std::all_of(rest.begin(), rest.end(), continuation) ? length : 0;
}

bool valid_utf8(byte_view bytes) noexcept {
  while (!bytes.empty()) {
    const auto length = utf8_sequence(bytes);
    if (length == 0)
      return false;
    bytes = bytes.subspan(length);
  }
  return true;
}

// Braced initialisation evaluates from left to right: the fields are taken in the layout's order.
retention take_retention(field_reader& fields) noexcept {
  return {fields.take<std::uint64_t>(), fields.take<std::uint64_t>()};
}

} // namespace

std::string_view name_of(command code) noexcept {
  switch (code) {
  case command::create_topic:
    return "create_topic";
  case command::delete_topic:
    return "delete_topic";
  case command::list_topics:
    return "list_topics";
  case command::get_topic:
    return "get_topic";
  case command::set_retention:
    return "set_retention";
  case command::create_topic_with_retention:
    return "create_topic_with_retention";
  case command::get_cluster_status:
    return "get_cluster_status";
  case command::authenticate:
    return "authenticate";
  case command::authenticate_response:
    return "authenticate_response";
  case command::fetch:
    return "fetch";
  case command::fetch_response:
    return "fetch_response";
  case command::catching_up:
    return "catching_up";
  case command::subscribe:
    return "subscribe";
  case command::unsubscribe:
    return "unsubscribe";
  case command::commit_offset:
    return "commit_offset";
  case command::subscribe_ack:
    return "subscribe_ack";
  case command::commit_ack:
    return "commit_ack";
  case command::hello:
    return "hello";
  case command::create_topic_x:
    return "create_topic_x";
  case command::describe_topic:
    return "describe_topic";
  case command::set_topic:
    return "set_topic";
  case command::offset_lookup:
    return "offset_lookup";
  case command::offset_reply:
    return "offset_reply";
  case command::fetch_batches:
    return "fetch_batches";
  case command::batches_reply:
    return "batches_reply";
  case command::register_producer:
    return "register_producer";
  case command::producer_registered:
    return "producer_registered";
  case command::unfence_topic:
    return "unfence_topic";
  case command::topic_response:
    return "topic_response";
  case command::cluster_status_response:
    return "cluster_status_response";
  case command::error_response:
    return "error_response";
  }
  return "unknown";
}

bool valid_topic_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= topic_name_bytes_max && name != "0" &&
         std::all_of(name.begin(), name.end(), name_character);
}

// --- requests ----------------------------------------------------------------------------------

result<std::string_view> decode_create_topic(byte_view payload) noexcept {
  const auto name = as_text(payload);
  if (!valid_topic_name(name))
    return fail(errc::invalid_name);
  return name;
}

result<topic_id> decode_topic_id(byte_view payload) noexcept {
  if (payload.size() < topic_id_bytes)
    return fail(errc::invalid_request);
  return field_reader{payload}.take<topic_id>();
}

result<set_retention_request> decode_set_retention(byte_view payload) noexcept {
  if (payload.size() < set_retention_bytes)
    return fail(errc::invalid_request);
  field_reader fields{payload};
  return set_retention_request{fields.take<topic_id>(), take_retention(fields)};
}

result<create_with_retention_request> decode_create_with_retention(byte_view payload) noexcept {
  if (payload.size() < name_length_bytes)
    return fail(errc::invalid_request);
  const std::size_t name_bytes = load_le<std::uint16_t>(payload.data());
  if (payload.size() < name_length_bytes + name_bytes + retention_bytes)
    return fail(errc::invalid_request);
  const auto name = as_text(payload.subspan(name_length_bytes, name_bytes));
  if (!valid_topic_name(name))
    return fail(errc::invalid_name);
  field_reader fields{payload.subspan(name_length_bytes + name_bytes)};
  return create_with_retention_request{name, take_retention(fields)};
}

result<std::string_view> decode_authenticate(byte_view payload) noexcept {
  if (payload.empty())
    return fail(errc::not_authenticated);
  if (payload.size() > token_bytes_max || !valid_utf8(payload))
    return fail(errc::invalid_request);
  return as_text(payload);
}

result<fetch_request> decode_fetch(byte_view payload) noexcept {
  if (payload.size() < fetch_bytes)
    return fail(errc::invalid_request);
  field_reader fields{payload};
  return fetch_request{fields.take<log_id>(), fields.take<byte_offset>(),
                       fields.take<std::uint32_t>()};
}

result<subscribe_request> decode_subscribe(byte_view payload) noexcept {
  if (payload.size() < subscribe_bytes)
    return fail(errc::invalid_request);
  field_reader fields{payload};
  return subscribe_request{fields.take<log_id>(), fields.take<byte_offset>(),
                           fields.take<std::uint32_t>(), fields.take<std::uint64_t>()};
}

result<unsubscribe_request> decode_unsubscribe(byte_view payload) noexcept {
  if (payload.size() < unsubscribe_bytes)
    return fail(errc::invalid_request);
  field_reader fields{payload};
  return unsubscribe_request{fields.take<log_id>(), fields.take<std::uint64_t>()};
}

result<commit_offset_request> decode_commit_offset(byte_view payload) noexcept {
  if (payload.size() < commit_offset_bytes)
    return fail(errc::invalid_request);
  field_reader fields{payload};
  return commit_offset_request{fields.take<log_id>(), fields.take<std::uint64_t>(),
                               fields.take<byte_offset>()};
}

std::array<std::byte, 4> encode_topic_id(topic_id id) noexcept {
  std::array<std::byte, topic_id_bytes> out{};
  field_writer{out.data()}.put(id);
  return out;
}

std::array<std::byte, 20> encode(const set_retention_request& request) noexcept {
  std::array<std::byte, set_retention_bytes> out{};
  field_writer{out.data()}
      .put(request.topic)
      .put(request.limits.max_age_secs)
      .put(request.limits.max_bytes);
  return out;
}

std::vector<std::byte> encode(const create_with_retention_request& request) {
  const auto name = as_bytes(request.name);
  LANCE_CHECK(name.size() <= topic_name_bytes_max, name.size());
  std::vector<std::byte> out(name_length_bytes + name.size() + retention_bytes);
  store_le(out.data(), static_cast<std::uint16_t>(name.size()));
  std::copy(name.begin(), name.end(), out.begin() + name_length_bytes);
  field_writer{out.data() + name_length_bytes + name.size()}
      .put(request.limits.max_age_secs)
      .put(request.limits.max_bytes);
  return out;
}

std::array<std::byte, 16> encode(const fetch_request& request) noexcept {
  std::array<std::byte, fetch_bytes> out{};
  field_writer{out.data()}.put(request.log).put(request.start).put(request.max_bytes);
  return out;
}

std::array<std::byte, 24> encode(const subscribe_request& request) noexcept {
  std::array<std::byte, subscribe_bytes> out{};
  field_writer{out.data()}
      .put(request.log)
      .put(request.start)
      .put(request.max_batch_bytes)
      .put(request.consumer_id);
  return out;
}

std::array<std::byte, 12> encode(const unsubscribe_request& request) noexcept {
  std::array<std::byte, unsubscribe_bytes> out{};
  field_writer{out.data()}.put(request.log).put(request.consumer_id);
  return out;
}

std::array<std::byte, 20> encode(const commit_offset_request& request) noexcept {
  std::array<std::byte, commit_offset_bytes> out{};
  field_writer{out.data()}.put(request.log).put(request.consumer_id).put(request.offset);
  return out;
}

// --- replies -----------------------------------------------------------------------------------

fetch_head fetch_head_for(byte_offset start, std::uint32_t bytes) noexcept {
  LANCE_CHECK(bytes <= fetch_data_bytes_max, bytes);
  return {byte_offset{start.value + bytes}, bytes, bytes > 0 ? 1U : 0U};
}

std::vector<std::byte> encode(const authenticate_reply& reply) {
  std::vector<std::byte> out(1 + reply.message.size());
  out[0] = reply.accepted ? std::byte{1} : std::byte{0};
  const auto message = as_bytes(reply.message);
  std::copy(message.begin(), message.end(), out.begin() + 1);
  return out;
}

std::array<std::byte, fetch_head_bytes> encode(const fetch_head& head) noexcept {
  std::array<std::byte, fetch_head_bytes> out{};
  field_writer{out.data()}.put(head.next).put(head.bytes_returned).put(head.record_count);
  return out;
}

std::array<std::byte, 8> encode_catching_up(byte_offset end) noexcept {
  std::array<std::byte, catching_up_bytes> out{};
  field_writer{out.data()}.put(end);
  return out;
}

std::array<std::byte, 16> encode(const subscribe_ack& reply) noexcept {
  std::array<std::byte, consumer_ack_bytes> out{};
  field_writer{out.data()}.put(reply.consumer_id).put(reply.start);
  return out;
}

std::array<std::byte, 16> encode(const commit_ack& reply) noexcept {
  std::array<std::byte, consumer_ack_bytes> out{};
  field_writer{out.data()}.put(reply.consumer_id).put(reply.committed);
  return out;
}

result<authenticate_reply> decode_authenticate_reply(byte_view payload) noexcept {
  if (payload.empty())
    return fail(errc::invalid_request);
  return authenticate_reply{payload[0] == std::byte{1}, as_text(payload.subspan(1))};
}

result<fetch_reply> decode_fetch_reply(byte_view payload) noexcept {
  if (payload.size() < fetch_head_bytes)
    return fail(errc::invalid_request);
  field_reader fields{payload};
  const fetch_head head{fields.take<byte_offset>(), fields.take<std::uint32_t>(),
                        fields.take<std::uint32_t>()};
  const auto rest = payload.subspan(fetch_head_bytes);
  if (head.bytes_returned > rest.size())
    return fail(errc::invalid_request);
  return fetch_reply{head, rest.first(head.bytes_returned)};
}

result<byte_offset> decode_catching_up(byte_view payload) noexcept {
  if (payload.size() < catching_up_bytes)
    return fail(errc::invalid_request);
  return field_reader{payload}.take<byte_offset>();
}

result<subscribe_ack> decode_subscribe_ack(byte_view payload) noexcept {
  if (payload.size() < consumer_ack_bytes)
    return fail(errc::invalid_request);
  field_reader fields{payload};
  return subscribe_ack{fields.take<std::uint64_t>(), fields.take<byte_offset>()};
}

result<commit_ack> decode_commit_ack(byte_view payload) noexcept {
  if (payload.size() < consumer_ack_bytes)
    return fail(errc::invalid_request);
  field_reader fields{payload};
  return commit_ack{fields.take<std::uint64_t>(), fields.take<byte_offset>()};
}

} // namespace lance::wire
