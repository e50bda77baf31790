#include "actors/journal.hpp"

#include <vector>

#include "cluster/entry.hpp"
#include "runtime/buffer_pool.hpp"
#include "storage/log.hpp"
#include "storage/reader.hpp"

namespace lance::actors {

namespace {

/// A read that has ended when start() returns, as reads of a disk without ring and helper do.
struct inline_read final : storage::read_operation {
  result<storage::read_outcome> outcome = fail(errc::internal);
  void finished(result<storage::read_outcome> what) override { outcome = what; }
};

} // namespace

result<> apply_entry(journal_contents& to, byte_view entry) {
  const auto kind = cluster::kind_of(entry);
  if (!kind)
    return tl::unexpected{kind.error()};
  ++to.entries;
  if (cluster::family_of(*kind) == cluster::entry_family::metadata) {
    const auto decoded = cluster::decode_metadata(entry);
    if (!decoded)
      return tl::unexpected{decoded.error()};
    if (!to.topics.apply(*decoded))
      ++to.refused;
    // Whether or not the table still knows the topic: its creation may lie before the journal's
    // start, while commits of its consumers lie after it.
    if (const auto* gone = std::get_if<cluster::topic_deleted>(&*decoded))
      return to.offsets.apply(cluster::offsets_dropped{log_id{gone->id.value}});
    return {};
  }
  const auto decoded = cluster::decode_offset(entry);
  if (!decoded)
    return tl::unexpected{decoded.error()};
  if (!to.offsets.apply(*decoded))
    ++to.refused;
  return {};
}

result<journal_contents> read_journal(storage::disk& door, storage::data_dir& home,
                                      const runtime::clock& time, const storage::options& chosen,
                                      const cluster::topic_policy& defaults,
                                      std::string& explanation) {
  journal_contents contents{cluster::metadata{defaults}, cluster::consumer_offsets{}, 0, 0};
  storage::tail_cache cache{0};
  storage::log_environment environment;
  environment.door = &door;
  environment.cache = &cache;
  environment.clock = &time;
  environment.quarantine = home.quarantine();
  environment.chosen = chosen;
  storage::log_policy policy;
  policy.log = meta_log;
  policy.directory = home.log_directory(meta_name, 0);
  policy.direct = false;
  policy.allocate_bytes = journal_allocate_bytes;
  auto opened = storage::log::open(environment, policy);
  if (!opened) {
    explanation = "the log of topics in " + policy.directory +
                  " cannot be opened: " + describe_error(opened.error());
    return tl::unexpected{opened.error()};
  }
  auto& log = **opened;
  if (log.state() == storage::log_state::damaged) {
    explanation = "the log of topics in " + policy.directory +
                  " is damaged below what was once durable; nothing was deleted. Look at it with "
                  "`lnc segment verify`, and restore it from a copy";
    return fail(errc::corrupt);
  }
  auto pool = runtime::buffer_pool::make({.count = 2, .buffer_bytes = 256 * KiB});
  if (!pool)
    return tl::unexpected{pool.error()};
  storage::reader reader{**pool, chosen};
  std::vector<std::byte> room(1 * MiB);
  inline_read read;
  read.shape = storage::read_shape::batches;
  read.start = log.start_offset();
  while (read.start < log.durable_end()) {
    read.into = room;
    read.batches.clear();
    reader.start(read, log);
    if (!read.outcome) {
      explanation = "the log of topics in " + policy.directory + " cannot be read at offset " +
                    std::to_string(read.start.value) + ": " + describe_error(read.outcome.error());
      return tl::unexpected{read.outcome.error()};
    }
    std::size_t at = 0;
    for (const auto& each : read.batches) {
      const auto length = each.entry.payload_length;
      if (at + length > read.outcome->bytes)
        break;
      if (auto applied = apply_entry(contents, byte_view{room}.subspan(at, length)); !applied) {
        explanation = "the log of topics in " + policy.directory +
                      " holds an entry this build does not know (batch " +
                      std::to_string(each.number.value) + "): was it written by a newer one?";
        return tl::unexpected{applied.error()};
      }
      at += length;
    }
    if (read.outcome->next <= read.start)
      break;
    read.start = read.outcome->next;
  }
  return contents;
}

} // namespace lance::actors
