#include "storage/recycled.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "storage/batch_header.hpp"
#include "wire/checksum.hpp"

namespace lance::storage {

namespace {

constexpr std::array<char, 8> magic{'L', 'N', 'C', 'O', 'L', 'D', 0, 1};
constexpr std::size_t log_at = 8, size_at = 16, crc_at = recycled_mark_bytes - 4;

constexpr std::size_t piece_bytes = 1 * MiB;
// TLV type, TLV length and format version: what every batch header begins with.
constexpr std::size_t opening_bytes = 6;
constexpr std::array<std::byte, opening_bytes> opening{std::byte{0}, std::byte{107}, std::byte{0},
                                                       std::byte{0}, std::byte{0},   std::byte{1}};

std::uint32_t crc_of(byte_view mark) noexcept {
  return wire::checksum(wire::checksum_kind::castagnoli, mark.first(crc_at));
}

} // namespace

std::array<std::byte, recycled_mark_bytes> encode(const recycled_mark& mark) noexcept {
  std::array<std::byte, recycled_mark_bytes> bytes{};
  std::memcpy(bytes.data(), magic.data(), magic.size());
  store_le<std::uint32_t>(bytes.data() + log_at, mark.log.value);
  store_le<std::uint64_t>(bytes.data() + size_at, mark.file_bytes);
  store_le<std::uint32_t>(bytes.data() + crc_at, crc_of(bytes));
  return bytes;
}

std::optional<recycled_mark> decode_mark(byte_view from) noexcept {
  if (from.size() < recycled_mark_bytes ||
      std::memcmp(from.data(), magic.data(), magic.size()) != 0 ||
      load_le<std::uint32_t>(from.data() + crc_at) != crc_of(from))
    return std::nullopt;
  return recycled_mark{log_id{load_le<std::uint32_t>(from.data() + log_at)},
                       load_le<std::uint64_t>(from.data() + size_at)};
}

result<> write_mark(file& data, const recycled_mark& mark) {
  alignas(block_bytes) std::array<std::byte, block_bytes> block{};
  const auto bytes = encode(mark);
  std::copy(bytes.begin(), bytes.end(), block.begin());
  return data.write_now(mark.file_bytes - block_bytes, block);
}

result<std::optional<std::uint64_t>> find_mark(file& data, log_id log) {
  const auto size = data.size();
  if (!size)
    return tl::unexpected(size.error());
  if (*size < block_bytes)
    return std::nullopt;
  const auto position = *size - block_bytes;
  std::array<std::byte, recycled_mark_bytes> bytes{};
  const auto got = data.read_now(position, bytes);
  if (!got)
    return tl::unexpected(got.error());
  const auto mark = decode_mark(byte_view{bytes}.first(*got));
  if (!mark || mark->log != log || mark->file_bytes != *size)
    return std::nullopt;
  return position;
}

result<std::uint64_t> end_of_newer(file& data, std::uint64_t from, std::uint64_t to, log_id log,
                                   batch_number next) {
  std::vector<std::byte> piece(std::min<std::uint64_t>(piece_bytes, to - std::min(from, to)));
  auto end = from;
  for (auto at = from; at + batch_header_bytes <= to;) {
    const auto wanted = std::min<std::uint64_t>(piece.size(), to - at);
    const auto got = data.read_now(at, {piece.data(), wanted});
    if (!got)
      return tl::unexpected(got.error());
    const byte_view bytes{piece.data(), *got};
    if (bytes.size() < batch_header_bytes)
      break;
    auto place = bytes.begin();
    for (;;) {
      place = std::search(place, bytes.end(), opening.begin(), opening.end());
      const auto skip = static_cast<std::size_t>(place - bytes.begin());
      if (skip + batch_header_bytes > bytes.size())
        break;
      const auto header = decode(bytes.subspan(skip));
      if (header && header->log == log && header->number >= next)
        end = std::max(end, std::min(to, at + skip + header->image_bytes()));
      ++place;
    }
    at += bytes.size() - (batch_header_bytes - 1); // a header may lie across two pieces
  }
  return end;
}

} // namespace lance::storage
