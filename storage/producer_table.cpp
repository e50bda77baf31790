#include "storage/producer_table.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "wire/checksum.hpp"
#include "wire/fields.hpp"

namespace lance::storage {

namespace {

constexpr std::array<char, 8> magic{'L', 'N', 'C', 'P', 'R', 'D', 0, 1};
constexpr std::size_t head_bytes = 24;
constexpr std::size_t row_bytes = 40;
constexpr std::size_t sum_bytes = sizeof(std::uint32_t);

std::uint32_t sum_of(byte_view bytes) noexcept {
  return wire::checksum(wire::checksum_kind::castagnoli, bytes);
}

} // namespace

producer_judgement producer_table::judge(const producer_stamp& stamp) const noexcept {
  if (stamp.producer == 0)
    return {};
  const auto found = rows_.find(stamp.producer);
  if (found == rows_.end())
    return {stamp.sequence == 1 ? producer_verdict::fresh : producer_verdict::unknown, {}};
  const auto& row = found->second;
  if (stamp.epoch < row.newest.epoch)
    return {producer_verdict::stale, {}};
  if (stamp.epoch > row.newest.epoch)
    return {stamp.sequence == 1 ? producer_verdict::fresh : producer_verdict::gap, {}};
  if (stamp.sequence <= row.newest.sequence)
    return {stamp.sequence == 0 ? producer_verdict::gap : producer_verdict::duplicate, row.number};
  // Written so that the last number there is has no successor.
  return {stamp.sequence - row.newest.sequence == 1 ? producer_verdict::fresh
                                                    : producer_verdict::gap,
          {}};
}

result<> producer_table::make_room(const producer_stamp& stamp, std::uint64_t now_ns) {
  if (stamp.producer == 0 || rows_.size() < rows_max || rows_.contains(stamp.producer))
    return {};
  const auto forgotten = std::erase_if(rows_, [now_ns](const auto& each) {
    return now_ns > each.second.seen_ns && now_ns - each.second.seen_ns > keep_ns;
  });
  return forgotten > 0 ? result<>{} : fail(errc::exhausted);
}

void producer_table::appended(const producer_stamp& stamp, batch_number number,
                              std::uint64_t now_ns) {
  if (stamp.producer != 0)
    rows_[stamp.producer] = {stamp, number, now_ns};
}

bool producer_table::survives_cut(batch_number end) const noexcept {
  return std::ranges::all_of(rows_, [end](const auto& each) { return each.second.number < end; });
}

std::optional<producer_row> producer_table::find(std::uint64_t producer) const {
  const auto found = rows_.find(producer);
  return found == rows_.end() ? std::nullopt : std::optional{found->second};
}

std::vector<producer_row> producer_table::rows() const {
  std::vector<producer_row> all;
  all.reserve(rows_.size());
  for (const auto& [producer, row] : rows_)
    all.push_back(row);
  std::ranges::sort(all, {}, [](const producer_row& row) { return row.newest.producer; });
  return all;
}

static_assert(producer_snapshot_bytes_max ==
              head_bytes + producer_table::rows_max * row_bytes + sum_bytes);

std::vector<std::byte> encode_producers(log_id log, batch_number end, const producer_table& table) {
  const auto rows = table.rows();
  std::vector<std::byte> bytes(head_bytes + rows.size() * row_bytes + sum_bytes);
  std::memcpy(bytes.data(), magic.data(), magic.size());
  wire::field_writer{bytes.data() + magic.size()}
      .put(log)
      .put(static_cast<std::uint32_t>(rows.size()))
      .put(end);
  auto* at = bytes.data() + head_bytes;
  for (const auto& row : rows) {
    wire::field_writer{at}
        .put(row.newest.producer)
        .put(row.newest.sequence)
        .put(row.number)
        .put(row.seen_ns)
        .put(row.newest.epoch)
        .put(std::uint32_t{0});
    at += row_bytes;
  }
  store_le(at, sum_of(byte_view{bytes}.first(bytes.size() - sum_bytes)));
  return bytes;
}

result<producer_snapshot> decode_producers(byte_view bytes) {
  if (bytes.size() < head_bytes + sum_bytes ||
      std::memcmp(bytes.data(), magic.data(), magic.size()) != 0)
    return fail(errc::bad_format);
  wire::field_reader head{bytes.subspan(magic.size())};
  producer_snapshot found;
  found.log = head.take<log_id>();
  const std::size_t count = head.take<std::uint32_t>();
  found.end = head.take<batch_number>();
  const auto summed = bytes.first(bytes.size() - sum_bytes);
  if (count > producer_table::rows_max || summed.size() != head_bytes + count * row_bytes ||
      load_le<std::uint32_t>(bytes.data() + summed.size()) != sum_of(summed))
    return fail(errc::bad_format);
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < count; ++i) {
    wire::field_reader row{bytes.subspan(head_bytes + i * row_bytes)};
    producer_stamp stamp;
    stamp.producer = row.take<std::uint64_t>();
    stamp.sequence = row.take<std::uint64_t>();
    const auto number = row.take<batch_number>();
    const auto seen_ns = row.take<std::uint64_t>();
    stamp.epoch = row.take<std::uint32_t>();
    if (row.take<std::uint32_t>() != 0 || stamp.producer <= before || number >= found.end)
      return fail(errc::bad_format);
    found.table.appended(stamp, number, seen_ns);
    before = stamp.producer;
  }
  return found;
}

} // namespace lance::storage
