// The broker's own log: entries of the topics' table and of the consumers' offsets. What decodes
// encodes to the same bytes; a refused entry changes nothing; and a snapshot makes an empty table,
// and one that has applied any latter part of the history, equal to the table it was taken of.
//
// Input: where the latter part begins, then entries, each after its length in one byte.
#include "cluster/consumer_offsets.hpp"
#include "cluster/entry.hpp"
#include "cluster/metadata.hpp"
#include "tests/fuzz/target.hpp"

namespace lance::fuzz {

namespace {

struct tables {
  cluster::metadata topics;
  cluster::consumer_offsets offsets{8, 8}; // few, so that the bound is met
};

// Whether the entry was taken.
bool apply(tables& to, byte_view entry, bool thorough) {
  const auto kind = cluster::kind_of(entry);
  const auto topic_entry = cluster::decode_metadata(entry);
  const auto offset_entry = cluster::decode_offset(entry);
  if (!kind) {
    LANCE_CHECK(!topic_entry && !offset_entry, entry.size());
    return false;
  }
  const bool topics = cluster::family_of(*kind) == cluster::entry_family::metadata;
  LANCE_CHECK(!(topics ? offset_entry.has_value() : topic_entry.has_value()), entry.size());
  if (topic_entry) {
    LANCE_CHECK(same(cluster::encode(*topic_entry), entry), entry.size());
    const auto before = thorough ? std::optional{to.topics} : std::nullopt;
    const bool taken = to.topics.apply(*topic_entry).has_value();
    LANCE_CHECK(taken || !before || *before == to.topics, entry.size());
    return taken;
  }
  if (offset_entry) {
    LANCE_CHECK(same(cluster::encode(*offset_entry), entry), entry.size());
    return to.offsets.apply(*offset_entry).has_value();
  }
  return false;
}

void apply_snapshot(const tables& of, tables& to) {
  for (const auto& entry : of.topics.snapshot())
    LANCE_CHECK(apply(to, entry, false), entry.size());
  for (const auto& entry : of.offsets.snapshot())
    LANCE_CHECK(apply(to, entry, false), entry.size());
}

} // namespace

// Tables of a few dozen rows, several times.
const std::uint64_t allocated_bytes_max = 4 * MiB;

void one_input(byte_view input) {
  decisions choose{input};
  const std::size_t latter_from = choose.byte();
  tables all;
  std::vector<byte_view> taken;
  for (int entries = 0; !choose.rest().empty() && entries < 64; ++entries) {
    const auto entry = choose.bytes(choose.byte());
    if (apply(all, entry, true))
      taken.push_back(entry);
  }

  tables fresh;
  apply_snapshot(all, fresh);
  LANCE_CHECK(fresh.topics == all.topics, taken.size());
  LANCE_CHECK(fresh.offsets == all.offsets, taken.size());

  tables latter;
  for (auto at = std::min(latter_from, taken.size()); at < taken.size(); ++at)
    (void)apply(latter, taken[at], false);
  apply_snapshot(all, latter);
  LANCE_CHECK(latter.topics == all.topics, taken.size(), latter_from);
}

} // namespace lance::fuzz
