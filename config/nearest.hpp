// The word somebody probably meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lance::config {

/// Insertions, deletions, replacements and swaps of neighbours that lead from one to the other.
[[nodiscard]] std::size_t edit_distance(std::string_view from, std::string_view to);

/// The nearest of `words` if it is near enough to be meant, else empty. The first among equals.
[[nodiscard]] std::string nearest(std::string_view word, const std::vector<std::string>& words);

} // namespace lance::config
