#include "client/record.hpp"

#include <array>

#include "runtime/check.hpp"

namespace lance::client {

namespace {

constexpr std::size_t key_length_bytes = 2;

bool is_record(const wire::tlv_record& found) noexcept {
  if (found.header.type == record_type::value)
    return true;
  return found.header.type == record_type::keyed && found.value.size() >= key_length_bytes &&
         found.value.size() - key_length_bytes >= load_le<std::uint16_t>(found.value.data());
}

} // namespace

std::size_t encoded_bytes(framing form, std::optional<byte_view> key, byte_view value) noexcept {
  if (form == framing::raw)
    return value.size();
  return wire::tlv_record_bytes(value.size() + (key ? key_length_bytes + key->size() : 0));
}

void encode_record(std::vector<std::byte>& to, framing form, std::optional<byte_view> key,
                   byte_view value) {
  LANCE_CHECK(form == framing::records || !key);
  if (form == framing::raw) {
    to.insert(to.end(), value.begin(), value.end());
    return;
  }
  if (!key) {
    wire::append_record(to, value);
    return;
  }
  LANCE_CHECK(key->size() <= key_bytes_max, key->size());
  std::array<std::byte, wire::tlv_extended_header_bytes + key_length_bytes> head;
  const auto length = static_cast<std::uint32_t>(key_length_bytes + key->size() + value.size());
  const auto used = wire::encode_tlv_header({.type = record_type::keyed, .length = length},
                                            wire::tlv_form::standard, head.data());
  store_le(head.data() + used, static_cast<std::uint16_t>(key->size()));
  to.insert(to.end(), head.data(), head.data() + used + key_length_bytes);
  to.insert(to.end(), key->begin(), key->end());
  to.insert(to.end(), value.begin(), value.end());
}

record decode_record(const wire::tlv_record& from) noexcept {
  record out;
  out.type = from.header.type;
  out.value = from.value;
  if (out.type == record_type::keyed && is_record(from)) {
    const auto rest = from.value.subspan(key_length_bytes);
    const std::size_t length = load_le<std::uint16_t>(from.value.data());
    out.key = rest.first(length);
    out.value = rest.subspan(length);
  }
  return out;
}

std::optional<std::uint64_t> count_records(byte_view payload) noexcept {
  wire::tlv_reader reader{payload};
  while (const auto found = reader.next())
    if (!is_record(*found))
      return std::nullopt;
  if (reader.state() != wire::tlv_state::done)
    return std::nullopt;
  return reader.records();
}

} // namespace lance::client
