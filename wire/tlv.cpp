#include "wire/tlv.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace lance::wire {

namespace {

bool is_extended(std::uint8_t type, tlv_form form) noexcept {
  return form == tlv_form::extended && type == tlv_type::extended;
}

struct sized_header {
  tlv_header header;
  std::size_t bytes;
};

std::optional<sized_header> read_header(byte_view from, tlv_form form) noexcept {
  if (from.empty())
    return std::nullopt;
  const auto type = std::to_integer<std::uint8_t>(from[0]);
  if (is_extended(type, form)) {
    if (from.size() < tlv_extended_header_bytes)
      return std::nullopt;
    return sized_header{
        {type, load_le<std::uint16_t>(from.data() + 1), load_le<std::uint32_t>(from.data() + 3)},
        tlv_extended_header_bytes};
  }
  if (from.size() < tlv_header_bytes)
    return std::nullopt;
  return sized_header{{type, 0, load_le<std::uint32_t>(from.data() + 1)}, tlv_header_bytes};
}

} // namespace

std::size_t encode_tlv_header(const tlv_header& header, tlv_form form, std::byte* to) noexcept {
  to[0] = std::byte{header.type};
  if (is_extended(header.type, form)) {
    store_le(to + 1, header.extended_type);
    store_le(to + 3, header.length);
    return tlv_extended_header_bytes;
  }
  LANCE_CHECK(header.type != tlv_type::extended);
  store_le(to + 1, header.length);
  return tlv_header_bytes;
}

void append_record(std::vector<std::byte>& to, byte_view value, std::uint8_t type) {
  const auto at = to.size();
  to.resize(at + tlv_record_bytes(value.size()));
  const auto written = write_record(byte_span{to}.subspan(at), value, type);
  LANCE_CHECK(written == to.size() - at, written);
}

std::size_t write_record(byte_span to, byte_view value, std::uint8_t type) noexcept {
  LANCE_CHECK(value.size() <= tlv_value_bytes_max, value.size());
  if (to.size() < tlv_record_bytes(value.size()))
    return 0;
  encode_tlv_header({.type = type, .length = static_cast<std::uint32_t>(value.size())},
                    tlv_form::standard, to.data());
  std::copy(value.begin(), value.end(), to.begin() + tlv_header_bytes);
  return tlv_record_bytes(value.size());
}

std::optional<tlv_record> tlv_reader::next() noexcept {
  if (state_ != tlv_state::reading)
    return std::nullopt;
  const auto rest = bytes_.subspan(valid_bytes_);
  const auto found = read_header(rest, form_);
  if (!found) {
    state_ = rest.empty() ? tlv_state::done : tlv_state::incomplete;
    return std::nullopt;
  }
  if (found->header.length > value_limit_) {
    state_ = tlv_state::too_large;
    return std::nullopt;
  }
  if (rest.size() - found->bytes < found->header.length) {
    state_ = tlv_state::incomplete;
    return std::nullopt;
  }
  valid_bytes_ += found->bytes + found->header.length;
  ++records_;
  return tlv_record{found->header, rest.subspan(found->bytes, found->header.length)};
}

tlv_extent measure_records(byte_view bytes, tlv_form form, std::uint32_t value_limit) noexcept {
  tlv_reader reader{bytes, form, value_limit};
  while (reader.next()) {
  }
  return {reader.records(), reader.valid_bytes(), reader.state()};
}

} // namespace lance::wire
