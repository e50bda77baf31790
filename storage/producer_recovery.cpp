#include "storage/producer_recovery.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "runtime/log.hpp"
#include "runtime/plant.hpp"
#include "storage/data_dir.hpp"
#include "storage/index_file.hpp"
#include "storage/layout.hpp"

namespace lance::storage {

namespace {

using runtime::log_level;
using runtime::plant;
using runtime::planted;

// Small batches are read together with their neighbours, of large ones only the header.
constexpr std::size_t piece_bytes = 256 * KiB;
constexpr std::size_t small_payload_bytes = 8 * KiB;
constexpr unsigned reads_max = 3;

std::string path_in(const std::string& directory) {
  return layout::join(directory, layout::producers_name);
}

// None: there is no file, or it is no snapshot of this log up to `end` at most.
result<std::optional<producer_snapshot>> read_snapshot(disk& door, const std::string& directory,
                                                       log_id log, batch_number end) {
  const auto text = read_small_file(door, path_in(directory), producer_snapshot_bytes_max);
  if (!text && text.error().code != errc::too_large)
    return tl::unexpected(text.error());
  auto snapshot = text ? decode_producers(as_bytes(*text)) : fail(errc::bad_format);
  if (!snapshot)
    runtime::log(log_level::warning, "producers_not_readable",
                 {{"log", log.value}, {"directory", directory}});
  if (!snapshot || snapshot->log != log || snapshot->end > end)
    return std::nullopt;
  return std::move(*snapshot);
}

class header_reader {
 public:
  explicit header_reader(file& data) : data_(data), piece_(piece_bytes) {}

  /// Errors: io_failed; corrupt: it is not what its place and its checksum say, however often it is
  /// read (a bit may turn over on the way).
  result<batch_header> read(const index_entry& entry, std::uint32_t previous_crc) {
    for (unsigned tries = 0; tries < reads_max; ++tries) {
      const auto bytes = bytes_of(entry);
      if (!bytes)
        return tl::unexpected(bytes.error());
      auto header = decode(*bytes);
      if (header && header->header_crc == entry.header_crc && chained(*bytes, previous_crc))
        return header;
      size_ = 0;
    }
    return fail(errc::corrupt);
  }

 private:
  result<byte_view> bytes_of(const index_entry& entry) {
    if (entry.position < begin_ || entry.position + batch_header_bytes > begin_ + size_) {
      const auto wanted =
          entry.payload_length < small_payload_bytes ? piece_bytes : batch_header_bytes;
      const auto got = data_.read_now(entry.position, {piece_.data(), wanted});
      if (!got)
        return tl::unexpected(got.error());
      begin_ = entry.position;
      size_ = *got;
    }
    const auto in_piece = entry.position - begin_;
    return byte_view{piece_}.subspan(in_piece, std::min(batch_header_bytes, size_ - in_piece));
  }

  file& data_;
  std::vector<std::byte> piece_;
  std::uint64_t begin_ = 0;
  std::size_t size_ = 0;
};

class recovering {
 public:
  recovering(disk& door, const std::string& directory, log_id log)
      : door_(door), directory_(directory), log_(log) {}

  result<recovered_producers> run(std::span<const std::shared_ptr<segment>> segments,
                                  batch_number end);

 private:
  result<> begin(batch_number end);
  result<> take_closed(const segment_facts& facts);
  result<> take(file& data, const segment_facts& facts, const index_view& index);
  result<> write_anew(batch_number end);

  disk& door_;
  const std::string& directory_;
  log_id log_;
  batch_number known_; // the table holds for the log below
  producer_table table_;
  std::vector<std::byte> owed_;
};

result<recovered_producers> recovering::run(std::span<const std::shared_ptr<segment>> segments,
                                            batch_number end) {
  if (const auto begun = begin(end); !begun)
    return tl::unexpected(begun.error());
  bool read_closed = false;
  for (const auto& each : segments) {
    const auto& facts = each->facts();
    if (facts.end_number() <= known_)
      continue;
    if (each->growing() == nullptr) {
      if (planted(plant::producers_of_closed_forgotten))
        continue;
      if (const auto taken = take_closed(facts); !taken)
        return tl::unexpected(taken.error());
      read_closed = true;
      continue;
    }
    if (std::exchange(read_closed, false))
      if (const auto written = write_anew(facts.id.first); !written)
        return tl::unexpected(written.error());
    if (planted(plant::producers_of_active_forgotten))
      continue;
    auto data =
        door_.open(layout::join(directory_, layout::active_name(facts.id)), {.read_only = true});
    if (!data)
      return tl::unexpected(data.error());
    if (const auto taken = take(**data, facts, each->index()); !taken)
      return tl::unexpected(taken.error());
  }
  if (read_closed)
    if (const auto written = write_anew(end); !written)
      return tl::unexpected(written.error());
  return recovered_producers{std::move(table_), std::move(owed_)};
}

result<> recovering::begin(batch_number end) {
  if (!door_.exists(path_in(directory_)))
    return {};
  auto snapshot = read_snapshot(door_, directory_, log_, end);
  if (!snapshot)
    return tl::unexpected(snapshot.error());
  if (!*snapshot)
    return door_.remove(path_in(directory_));
  known_ = (*snapshot)->end;
  table_ = std::move((*snapshot)->table);
  return {};
}

result<> recovering::take_closed(const segment_facts& facts) {
  const auto mapped = load_index(door_, layout::join(directory_, layout::index_name(facts.id)));
  if (mapped == nullptr || mapped->bytes().size() < index_header_bytes)
    return fail(errc::io_failed, ENOENT); // recovery has just seen to it
  auto data = door_.open(layout::join(directory_, layout::closed_name(facts.id, facts.last_ns)),
                         {.read_only = true});
  if (!data)
    return tl::unexpected(data.error());
  const auto taken =
      take(**data, facts, encoded_index{mapped->bytes().subspan(index_header_bytes)});
  return taken && mapped->failed() ? fail(errc::io_failed, EIO) : taken;
}

result<> recovering::take(file& data, const segment_facts& facts, const index_view& index) {
  header_reader headers{data};
  const auto first = facts.id.first.value;
  for (auto at = std::max(known_.value, first) - first; at < index.size(); ++at) {
    const auto entry = index.entry(at);
    if (!entry.stamped)
      continue;
    const auto header = headers.read(entry, at == 0 ? chain_seed(log_, facts.id.first)
                                                    : index.entry(at - 1).header_crc);
    if (!header && header.error().code != errc::corrupt)
      return tl::unexpected(header.error());
    if (!header) {
      runtime::log(log_level::warning, "producer_of_batch_not_readable",
                   {{"log", log_.value}, {"batch", first + at}});
      continue;
    }
    table_.appended(stamp_of(*header), header->number, header->append_time_ns);
  }
  known_ = facts.end_number();
  return {};
}

result<> recovering::write_anew(batch_number end) {
  auto bytes = encode_producers(log_, end, table_);
  const auto written = write_producers(door_, directory_, bytes);
  if (written || (written.error().system != ENOSPC && written.error().system != EDQUOT))
    return written;
  runtime::log(log_level::warning, "producers_wait_for_room",
               {{"log", log_.value}, {"directory", directory_}, {"errno", written.error().system}});
  owed_ = std::move(bytes);
  return {};
}

} // namespace

result<recovered_producers> recover_producers(disk& door, const std::string& directory, log_id log,
                                              std::span<const std::shared_ptr<segment>> segments,
                                              batch_number end) {
  return recovering{door, directory, log}.run(segments, end);
}

result<> write_producers(disk& door, const std::string& directory, byte_view encoded) {
  return write_file_atomically(door, path_in(directory), encoded);
}

result<> forget_producers_from(disk& door, const std::string& directory, log_id log,
                               batch_number end) {
  if (!door.exists(path_in(directory)))
    return {};
  const auto snapshot = read_snapshot(door, directory, log, end);
  if (!snapshot)
    return tl::unexpected(snapshot.error());
  if (*snapshot)
    return {};
  const auto gone = door.remove(path_in(directory));
  return gone ? door.sync_directory(directory) : gone;
}

} // namespace lance::storage
