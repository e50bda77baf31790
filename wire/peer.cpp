#include "wire/peer.hpp"

#include <algorithm>
#include <optional>

#include "runtime/check.hpp"
#include "wire/checksum.hpp"
#include "wire/fields.hpp"

namespace lance::wire {

namespace {

constexpr std::uint32_t magic = 0x50434e4c; // "LNCP"
constexpr std::uint8_t frame_version = 1;
constexpr std::size_t summed_bytes = 20;
constexpr std::size_t hello_fixed_bytes = 56;
constexpr std::size_t address_bytes_max = 255;
constexpr std::size_t sentence_bytes_max = 256;

std::uint32_t sum(byte_view bytes) noexcept {
  return checksum(checksum_kind::castagnoli, bytes);
}

bool known(std::uint8_t kind) noexcept {
  switch (static_cast<peer_kind>(kind)) {
  case peer_kind::hello:
  case peer_kind::refusal:
  case peer_kind::messages:
  case peer_kind::append:
    return true;
  }
  return false;
}

bool greets(peer_kind kind) noexcept {
  return kind == peer_kind::hello || kind == peer_kind::refusal;
}

void put_text(std::vector<std::byte>& to, const std::string& text, std::size_t most) {
  LANCE_CHECK(text.size() <= most, text.size(), most);
  to.push_back(static_cast<std::byte>(text.size()));
  const auto bytes = as_bytes(text);
  to.insert(to.end(), bytes.begin(), bytes.end());
}

// Takes a text from the front; nothing where it is cut short or too long.
std::optional<std::string> take_text(byte_view& from, std::size_t most) {
  if (from.empty())
    return std::nullopt;
  const auto size = std::to_integer<std::size_t>(from[0]);
  if (size > most || size + 1 > from.size())
    return std::nullopt;
  std::string text{as_text(from.subspan(1, size))};
  from = from.subspan(1 + size);
  return text;
}

} // namespace

std::array<std::byte, peer_header_bytes> encode_peer_header(peer_kind kind, byte_view body,
                                                            std::uint32_t bulk_bytes) noexcept {
  LANCE_CHECK(body.size() <= peer_body_bytes_max && bulk_bytes <= peer_bulk_bytes_max, body.size(),
              bulk_bytes);
  std::array<std::byte, peer_header_bytes> out{};
  field_writer{out.data()}
      .put(magic)
      .put(frame_version)
      .put(static_cast<std::uint8_t>(kind))
      .put(std::uint16_t{0})
      .put(static_cast<std::uint32_t>(body.size()))
      .put(bulk_bytes)
      .put(sum(body));
  store_le(out.data() + summed_bytes, sum(byte_view{out}.first(summed_bytes)));
  return out;
}

result<peer_header> judge_peer_header(byte_view bytes, bool greeted) noexcept {
  field_reader fields{bytes};
  const auto their_magic = fields.take<std::uint32_t>();
  const auto version = fields.take<std::uint8_t>();
  const auto kind = fields.take<std::uint8_t>();
  const auto unused = fields.take<std::uint16_t>();
  peer_header header{static_cast<peer_kind>(kind), fields.take<std::uint32_t>(),
                     fields.take<std::uint32_t>(), fields.take<std::uint32_t>()};
  if (their_magic != magic || version != frame_version || unused != 0 || !known(kind) ||
      fields.take<std::uint32_t>() != sum(bytes.first(summed_bytes)))
    return fail(errc::bad_frame);
  const bool greeting = greets(header.kind);
  const auto body_max = greeting ? peer_greeting_bytes_max : peer_body_bytes_max;
  const auto bulk_max = header.kind == peer_kind::append ? peer_bulk_bytes_max : 0;
  if (header.body_bytes > body_max || header.bulk_bytes > bulk_max || (!greeted && !greeting))
    return fail(errc::bad_frame);
  return header;
}

bool holds(const peer_header& header, byte_view body) noexcept {
  return header.body_bytes == body.size() && header.body_crc == sum(body);
}

std::vector<std::byte> encode(const peer_hello& hello) {
  std::vector<std::byte> out(hello_fixed_bytes);
  field_writer{out.data()}
      .put(hello.version_min)
      .put(hello.version_max)
      .put(static_cast<std::uint8_t>(hello.lane))
      .put(std::uint8_t{0})
      .put(hello.node)
      .put(std::uint16_t{0})
      .put(hello.incarnation)
      .put(hello.features);
  std::ranges::copy(hello.cluster, out.begin() + 24);
  std::ranges::copy(hello.identity, out.begin() + 40);
  put_text(out, hello.cluster_name, cluster_name_bytes_max);
  put_text(out, hello.client_address, address_bytes_max);
  put_text(out, hello.rack, rack_bytes_max);
  return out;
}

result<peer_hello> decode_peer_hello(byte_view body) {
  if (body.size() < hello_fixed_bytes)
    return fail(errc::bad_format);
  field_reader fields{body};
  peer_hello hello;
  hello.version_min = fields.take<std::uint8_t>();
  hello.version_max = fields.take<std::uint8_t>();
  const auto lane = fields.take<std::uint8_t>();
  const auto first_gap = fields.take<std::uint8_t>();
  hello.node = fields.take<node_id>();
  const auto second_gap = fields.take<std::uint16_t>();
  hello.incarnation = fields.take<std::uint64_t>();
  hello.features = fields.take<std::uint64_t>();
  std::ranges::copy(body.subspan(24, 16), hello.cluster.begin());
  std::ranges::copy(body.subspan(40, 16), hello.identity.begin());
  auto rest = body.subspan(hello_fixed_bytes);
  auto name = take_text(rest, cluster_name_bytes_max);
  auto address = take_text(rest, address_bytes_max);
  auto rack = take_text(rest, rack_bytes_max);
  if (lane > 1 || first_gap != 0 || second_gap != 0 || hello.version_min > hello.version_max ||
      !name || name->empty() || !address || !rack || !rest.empty())
    return fail(errc::bad_format);
  hello.lane = static_cast<peer_lane>(lane);
  hello.cluster_name = std::move(*name);
  hello.client_address = std::move(*address);
  hello.rack = std::move(*rack);
  return hello;
}

result<std::uint8_t> common_version(const peer_hello& a, const peer_hello& b) noexcept {
  const auto newest = std::min(a.version_max, b.version_max);
  if (newest < std::max(a.version_min, b.version_min))
    return fail(errc::unsupported);
  return newest;
}

std::string_view name_of(refusal_reason reason) noexcept {
  switch (reason) {
  case refusal_reason::version:
    return "version";
  case refusal_reason::cluster:
    return "cluster";
  case refusal_reason::node:
    return "node";
  case refusal_reason::identity:
    return "identity";
  case refusal_reason::duplicate:
    return "duplicate";
  case refusal_reason::incarnation:
    return "incarnation";
  case refusal_reason::malformed:
    return "malformed";
  }
  return "unknown";
}

std::vector<std::byte> encode(const peer_refusal& refusal) {
  LANCE_CHECK(refusal.sentence.size() <= sentence_bytes_max, refusal.sentence.size());
  std::vector<std::byte> out{static_cast<std::byte>(refusal.reason)};
  const auto text = as_bytes(refusal.sentence);
  out.insert(out.end(), text.begin(), text.end());
  return out;
}

result<peer_refusal> decode_peer_refusal(byte_view body) {
  if (body.empty() || body.size() > 1 + sentence_bytes_max)
    return fail(errc::bad_format);
  const auto reason = static_cast<refusal_reason>(body[0]);
  if (name_of(reason) == "unknown")
    return fail(errc::bad_format);
  return peer_refusal{reason, std::string{as_text(body.subspan(1))}};
}

} // namespace lance::wire
