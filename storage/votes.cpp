#include "storage/votes.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "runtime/check.hpp"
#include "storage/data_dir.hpp"
#include "storage/layout.hpp"
#include "wire/checksum.hpp"

namespace lance::storage {

namespace {

constexpr std::array<char, 8> magic{'L', 'N', 'C', 'V', 'O', 'T', 0, 1};
constexpr std::size_t sum_bytes = sizeof(std::uint32_t);

std::uint32_t sum_of(byte_view bytes) noexcept {
  return wire::checksum(wire::checksum_kind::castagnoli, bytes);
}

void put(const vote_row& row, std::byte* to) noexcept {
  store_le(to, row.log.value);
  store_le(to + 4, row.vote.value_or(node_id{0}).value);
  store_le(to + 6, static_cast<std::uint8_t>(row.vote ? 1 : 0));
  store_le(to + 7, std::uint8_t{0});
  store_le(to + 8, row.current.value);
}

result<vote_row> take(const std::byte* from) noexcept {
  const auto node = load_le<std::uint16_t>(from + 4);
  const auto voted = load_le<std::uint8_t>(from + 6);
  if (voted > 1 || load_le<std::uint8_t>(from + 7) != 0 || (voted == 0 && node != 0))
    return fail(errc::bad_format);
  vote_row row{log_id{load_le<std::uint32_t>(from)}, term{load_le<std::uint64_t>(from + 8)}, {}};
  if (voted == 1)
    row.vote = node_id{node};
  return row;
}

auto place_of(auto& rows, log_id log) noexcept {
  return std::ranges::lower_bound(rows, log, {}, &vote_row::log);
}

bool keeps_word(const vote_row& before, const vote_row& after) noexcept {
  return after.current > before.current ||
         (after.current == before.current && (!before.vote || after.vote == before.vote));
}

} // namespace

std::vector<std::byte> encode_votes(std::span<const vote_row> rows) {
  LANCE_CHECK(rows.size() <= vote_rows_max, rows.size());
  std::vector<std::byte> bytes(votes_head_bytes + rows.size() * vote_row_bytes + sum_bytes);
  std::memcpy(bytes.data(), magic.data(), magic.size());
  store_le(bytes.data() + 8, static_cast<std::uint32_t>(rows.size()));
  auto* to = bytes.data() + votes_head_bytes;
  for (const auto& row : rows) {
    put(row, to);
    to += vote_row_bytes;
  }
  store_le(to, sum_of(byte_view{bytes}.first(bytes.size() - sum_bytes)));
  return bytes;
}

result<std::vector<vote_row>> decode_votes(byte_view bytes) {
  if (bytes.size() < votes_head_bytes + sum_bytes || bytes.size() > votes_bytes_max ||
      std::memcmp(bytes.data(), magic.data(), magic.size()) != 0)
    return fail(errc::bad_format);
  const std::size_t count = load_le<std::uint32_t>(bytes.data() + 8);
  const auto summed = bytes.first(bytes.size() - sum_bytes);
  if (count > vote_rows_max || summed.size() != votes_head_bytes + count * vote_row_bytes ||
      load_le<std::uint32_t>(bytes.data() + 12) != 0 ||
      load_le<std::uint32_t>(bytes.data() + summed.size()) != sum_of(summed))
    return fail(errc::bad_format);
  std::vector<vote_row> rows;
  rows.reserve(count);
  for (std::size_t at = 0; at < count; ++at) {
    const auto row = take(bytes.data() + votes_head_bytes + at * vote_row_bytes);
    if (!row || (at > 0 && row->log <= rows.back().log))
      return fail(errc::bad_format);
    rows.push_back(*row);
  }
  return rows;
}

result<vote_book> vote_book::open(disk& door, const std::string& directory) {
  auto path = layout::join(directory, layout::votes_name);
  std::vector<vote_row> rows;
  if (door.exists(path)) {
    const auto text = read_small_file(door, path, votes_bytes_max);
    if (!text)
      return tl::unexpected(text.error().code == errc::too_large ? error{errc::bad_format, 0}
                                                                 : text.error());
    auto read = decode_votes(as_bytes(*text));
    if (!read)
      return tl::unexpected(read.error());
    rows = std::move(*read);
  }
  // A rename that was not synced is seen by who reads, and gone after a loss of power.
  if (const auto kept = write_file_atomically(door, path, encode_votes(rows)); !kept)
    return tl::unexpected(kept.error());
  return vote_book{door, std::move(path), std::move(rows)};
}

const vote_row* vote_book::find(log_id log) const noexcept {
  const auto at = place_of(rows_, log);
  return at == rows_.end() || at->log != log ? nullptr : &*at;
}

result<> vote_book::save(std::span<const vote_row> rows) {
  auto next = rows_;
  for (const auto& row : rows) {
    const auto at = place_of(next, row.log);
    const bool known = at != next.end() && at->log == row.log;
    if (known && !keeps_word(*at, row))
      return fail(errc::invalid_request);
    if (!known && next.size() == vote_rows_max)
      return fail(errc::exhausted);
    if (known)
      *at = row;
    else
      next.insert(at, row);
  }
  return store(std::move(next));
}

result<> vote_book::forget(log_id log) {
  auto next = rows_;
  const auto at = place_of(next, log);
  if (at == next.end() || at->log != log)
    return {};
  next.erase(at);
  return store(std::move(next));
}

result<> vote_book::store(std::vector<vote_row> rows) {
  if (failure_)
    return tl::unexpected(*failure_);
  if (const auto written = write_file_atomically(*door_, path_, encode_votes(rows)); !written) {
    failure_ = written.error();
    return written;
  }
  rows_ = std::move(rows);
  return {};
}

} // namespace lance::storage
