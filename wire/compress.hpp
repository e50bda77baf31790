// The compression envelope of frames with flag 01 (wire/README.md, "Compression"): made by the
// client, opened by the broker on arrival. What comes out is bounded before memory is taken: a
// stranger's nine bytes cannot cost more than `limit`.
//
// Any thread. zstd keeps one working context per thread that ever opened a zstd envelope.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"
#include "runtime/types.hpp"

namespace lance::wire {

enum class compression : std::uint8_t { none = 0, lz4 = 1, zstd = 2 };

/// LWP's bound on original_size.
inline constexpr std::uint32_t original_bytes_max = 16 * MiB;

/// Below this many bytes compressing is not worth its cost.
inline constexpr std::size_t compress_from_bytes = 256;

struct envelope_head {
  compression algorithm = compression::none;
  std::uint32_t original_size = 0;
  friend bool operator==(const envelope_head&, const envelope_head&) = default;
};
inline constexpr std::size_t envelope_head_bytes = 5;

/// The envelope around `plain`, at most original_bytes_max. It may be longer than `plain`: who
/// sends compares. errc::internal when the library refuses.
[[nodiscard]] result<std::vector<std::byte>> encode_lz4(byte_view plain);
[[nodiscard]] result<std::vector<std::byte>> encode_zstd(byte_view plain, int level = 3);

/// What the envelope claims, checked as far as the head goes: errc::invalid_request when it is too
/// short, errc::unsupported for another algorithm, errc::too_large above `limit`.
[[nodiscard]] result<envelope_head>
read_envelope(byte_view envelope, std::uint32_t limit = original_bytes_max) noexcept;

/// Opens the envelope into the front of `out` and returns how many bytes that is: exactly the
/// original_size it claims. Errors as above, and errc::too_large when `out` is shorter than that,
/// errc::invalid_request when the body is not what the head claims.
[[nodiscard]] result<std::size_t> decompress(byte_view envelope, std::uint32_t limit,
                                             byte_span out) noexcept;

/// The same into `out`, which is resized once the head is believed. Cleared after an error.
[[nodiscard]] result<void> decompress(byte_view envelope, std::uint32_t limit,
                                      std::vector<std::byte>& out);

} // namespace lance::wire
