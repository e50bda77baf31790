// Topics as people read them. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "wire/control_json.hpp"

namespace lance::client::cli {

/// `orders (id 7): L1, fsync, at most 7d`
[[nodiscard]] std::string one_line(const wire::topic_info& topic);
/// A line per topic under a head, sorted by name; nothing when there are none.
[[nodiscard]] std::string table(std::vector<wire::topic_info> topics);
/// Policy, then each partition's extent.
[[nodiscard]] std::string many_lines(const wire::topic_description& topic);

} // namespace lance::client::cli
