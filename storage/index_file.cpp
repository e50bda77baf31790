#include "storage/index_file.hpp"

#include <algorithm>

#include "runtime/check.hpp"
#include "storage/batch_walk.hpp"

namespace lance::storage {

namespace {

constexpr std::size_t entries_at_once = 1024; // 64 KiB per write

} // namespace

index_header header_of(log_id log, segment_id segment, const index_entry& first) noexcept {
  return {
      log, segment.first, first.offset, first.first_record, first.append_time_ns, first.header_crc};
}

result<> write_index(disk& door, const std::string& path, log_id log, segment_id segment,
                     const index_view& entries, std::size_t sound, bool sync) {
  LANCE_CHECK(entries.size() > 0 && sound <= entries.size(), entries.size(), sound);
  auto target = door.open(path, {.create = true});
  if (!target)
    return tl::unexpected(target.error());
  auto& file = **target;
  // What is not sound goes first, so that a crash in between leaves a short index, not a mixed one.
  if (const auto cut =
          file.truncate(sound == 0 ? 0 : index_header_bytes + sound * index_entry_bytes);
      !cut)
    return cut;
  std::vector<std::byte> bytes(entries_at_once * index_entry_bytes);
  if (sound == 0) {
    encode(header_of(log, segment, entries.entry(0)), bytes.data());
    if (const auto written = file.write_now(0, {bytes.data(), index_header_bytes}); !written)
      return written;
  }
  for (auto at = sound; at < entries.size();) {
    const auto count = std::min(entries_at_once, entries.size() - at);
    for (std::size_t i = 0; i < count; ++i)
      encode(entries.entry(at + i), bytes.data() + i * index_entry_bytes);
    const auto written = file.write_now(index_header_bytes + at * index_entry_bytes,
                                        {bytes.data(), count * index_entry_bytes});
    if (!written)
      return written;
    at += count;
  }
  return sync ? file.sync() : result<>{};
}

result<> replace_index(disk& door, const std::string& path, file& data, log_id log,
                       const segment_facts& facts) {
  const auto fresh = path + ".new";
  auto target = door.open(fresh, {.create = true});
  if (!target)
    return tl::unexpected(target.error());
  if (const auto emptied = (*target)->truncate(0); !emptied)
    return emptied;
  batch_walk walk{data, log, facts.id, false};
  std::vector<std::byte> bytes(entries_at_once * index_entry_bytes);
  std::uint64_t written = 0; // bytes of the file
  std::uint64_t walked = 0;
  std::size_t held = 0;
  const auto put = [&]() -> result<> {
    auto done = (*target)->write_now(written, {bytes.data(), held});
    written += held;
    held = 0;
    return done;
  };
  while (walk.position() < facts.file_bytes) {
    const auto batch = walk.next();
    if (!batch)
      return tl::unexpected(batch.error());
    if (!*batch)
      break;
    const auto entry = entry_of(**batch);
    if (walked++ == 0) {
      encode(header_of(log, facts.id, entry), bytes.data());
      held = index_header_bytes;
      if (const auto done = put(); !done)
        return done;
    }
    encode(entry, bytes.data() + held);
    held += index_entry_bytes;
    if (held == bytes.size())
      if (const auto done = put(); !done)
        return done;
  }
  if (const auto done = put(); !done)
    return done;
  target->reset();
  if (walk.position() == facts.file_bytes && walked == facts.batches)
    return door.rename(fresh, path);
  (void)door.remove(fresh);
  return fail(errc::corrupt);
}

std::unique_ptr<mapping> load_index(disk& door, const std::string& path) {
  auto loaded = door.map(path);
  return loaded ? std::move(*loaded) : nullptr;
}

byte_view believable_entries(byte_view file, log_id log, segment_id segment) noexcept {
  const auto header = decode_index_header(file);
  if (!header || header->log != log || header->first_number != segment.first ||
      header->first_time_ns != segment.first_ns)
    return {};
  return file.subspan(index_header_bytes, coherent_entries(file, *header) * index_entry_bytes);
}

} // namespace lance::storage
