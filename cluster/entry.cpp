#include "cluster/entry.hpp"

namespace lance::cluster {

result<entry_kind> kind_of(byte_view entry) noexcept {
  if (entry.size() < entry_head_bytes || entry.size() > entry_bytes_max)
    return fail(errc::bad_format);
  if (std::to_integer<std::uint8_t>(entry[0]) != entry_format_version)
    return fail(errc::unsupported);
  const auto kind = static_cast<entry_kind>(std::to_integer<std::uint8_t>(entry[1]));
  switch (kind) {
  case entry_kind::topic_created:
  case entry_kind::topic_deleted:
  case entry_kind::policy_changed:
  case entry_kind::next_topic_id:
  case entry_kind::topic_kept:
  case entry_kind::offset_committed:
  case entry_kind::offsets_dropped:
    return kind;
  }
  return fail(errc::bad_format);
}

} // namespace lance::cluster
