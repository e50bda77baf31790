// The number of a consumer's name, as the published client computes it: SipHash-1-3 with key 0,0
// over the UTF-8 bytes and one byte FF. Both kinds of client then mean the same committed offset.
#pragma once

#include <cstdint>
#include <string_view>

namespace lance::wire {

/// Pure, any thread, no allocation.
[[nodiscard]] std::uint64_t consumer_id_of(std::string_view name) noexcept;

} // namespace lance::wire
