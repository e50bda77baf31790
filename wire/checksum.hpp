// The two checksums of LWP. Frames carry CRC-32/ISO-HDLC (zlib's crc32) unless the peer opened with
// CRC-32C (Castagnoli); batch headers on disk carry CRC-32C.
//
// Pure functions: any thread, no allocation, no state but one look at the CPU when first used.
#pragma once

#include <cstdint>

#include "runtime/bytes.hpp"

namespace lance::wire {

enum class checksum_kind : std::uint8_t {
  iso_hdlc,   ///< reflected 0xEDB88320, check value CBF43926
  castagnoli, ///< reflected 0x82F63B78, check value E3069283
};

/// The sum of `bytes`; 0 for no bytes.
[[nodiscard]] std::uint32_t checksum(checksum_kind kind, byte_view bytes) noexcept;

/// The sum of (what gave `running`) followed by `bytes`. `running` starts at 0, and every value
/// returned is final for the bytes seen so far: there is nothing to finish.
[[nodiscard]] std::uint32_t checksum_update(checksum_kind kind, std::uint32_t running,
                                            byte_view bytes) noexcept;

/// The sum of A followed by B, from their sums and B's length in bytes, without touching either.
/// Costs about 50 ns per bit set in `length_b`, whatever the length.
[[nodiscard]] std::uint32_t combine(checksum_kind kind, std::uint32_t sum_a, std::uint32_t sum_b,
                                    std::uint64_t length_b) noexcept;

/// The sum of the first eight bytes of a frame header with these flags, version 1 and reserved 0:
/// one of 256 values per kind, taken from a table.
[[nodiscard]] std::uint32_t header_checksum(checksum_kind kind, std::uint8_t flags) noexcept;

} // namespace lance::wire
