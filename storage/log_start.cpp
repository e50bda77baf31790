#include "storage/log_start.hpp"

#include <cstring>

#include "storage/data_dir.hpp"
#include "storage/layout.hpp"

namespace lance::storage {

namespace {

constexpr std::array<char, 8> magic{'L', 'N', 'C', 'S', 'T', 'A', 0, 1};
constexpr std::size_t checksum_at = log_start_bytes - 4;

std::uint32_t sum_of(const std::byte* bytes) noexcept {
  return wire::checksum(wire::checksum_kind::castagnoli, {bytes, checksum_at});
}

} // namespace

std::array<std::byte, log_start_bytes> encode(const log_start& start) noexcept {
  std::array<std::byte, log_start_bytes> bytes{};
  auto* to = bytes.data();
  std::memcpy(to, magic.data(), magic.size());
  store_le(to + 8, start.log.value);
  store_le(to + 16, start.next_number.value);
  store_le(to + 24, start.next_offset.value);
  store_le(to + 32, start.next_record.value);
  store_le(to + 40, start.last_term.value);
  wire::encode(start.last_key, to + 48);
  store_le(to + 64, start.last_time_ns);
  store_le(to + checksum_at, sum_of(to));
  return bytes;
}

result<log_start> decode_log_start(byte_view bytes) noexcept {
  const auto* at = bytes.data();
  if (bytes.size() != log_start_bytes || std::memcmp(at, magic.data(), magic.size()) != 0 ||
      load_le<std::uint32_t>(at + checksum_at) != sum_of(at))
    return fail(errc::bad_format);
  return log_start{log_id{load_le<std::uint32_t>(at + 8)},
                   batch_number{load_le<std::uint64_t>(at + 16)},
                   byte_offset{load_le<std::uint64_t>(at + 24)},
                   record_number{load_le<std::uint64_t>(at + 32)},
                   term{load_le<std::uint64_t>(at + 40)},
                   wire::decode_sort_key(at + 48),
                   load_le<std::uint64_t>(at + 64)};
}

result<> write_log_start(disk& door, const std::string& directory, const log_start& start) {
  return write_file_atomically(door, layout::join(directory, layout::log_start_name),
                               encode(start));
}

result<std::optional<log_start>> read_log_start(disk& door, const std::string& directory,
                                                log_id log) {
  const auto path = layout::join(directory, layout::log_start_name);
  if (!door.exists(path))
    return std::nullopt;
  const auto text = read_small_file(door, path, log_start_bytes);
  if (!text)
    return tl::unexpected(text.error().code == errc::too_large ? error{errc::bad_format, 0}
                                                               : text.error());
  const auto start = decode_log_start(as_bytes(*text));
  if (!start || start->log != log)
    return fail(errc::bad_format);
  return *start;
}

} // namespace lance::storage
