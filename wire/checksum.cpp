#include "wire/checksum.hpp"

#include <algorithm>
#include <array>
#include <climits>

#include <isa-l/crc.h>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace lance::wire {

namespace {

constexpr std::uint32_t polynomial_of(checksum_kind kind) {
  return kind == checksum_kind::iso_hdlc ? 0xEDB88320U : 0x82F63B78U;
}

// The length in bytes from which ISA-L's folding wins, measured on an AMD EPYC (Zen): ISO-HDLC at
// 16 bytes takes 11 ns either way and at 64 bytes 18 ns folded against 40 by table; Castagnoli by
// the crc32 instruction is ahead up to 96 bytes, level at 192 and behind at 256 (31 ns against 20).
constexpr std::size_t folding_from_bytes(checksum_kind kind) {
  return kind == checksum_kind::iso_hdlc ? 16 : 256;
}

// --- slicing by eight ------------------------------------------------------------------------

using slice_tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr slice_tables make_slices(checksum_kind kind) {
  slice_tables slices{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit)
      value = (value >> 1) ^ ((value & 1U) != 0 ? polynomial_of(kind) : 0U);
    slices[0][byte] = value;
  }
  for (std::size_t slice = 1; slice < 8; ++slice)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const auto before = slices[slice - 1][byte];
      slices[slice][byte] = (before >> 8) ^ slices[0][before & 0xFFU];
    }
  return slices;
}

constexpr std::array slices_of{make_slices(checksum_kind::iso_hdlc),
                               make_slices(checksum_kind::castagnoli)};

// Works on the inverted register, as do all functions called *_raw here.
std::uint32_t sliced_raw(checksum_kind kind, std::uint32_t crc, byte_view bytes) noexcept {
  const auto& t = slices_of[static_cast<std::size_t>(kind)];
  const auto* at = bytes.data();
  auto left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    const auto word = load_le<std::uint64_t>(at) ^ crc;
    crc = t[7][word & 0xFFU] ^ t[6][(word >> 8) & 0xFFU] ^ t[5][(word >> 16) & 0xFFU] ^
          t[4][(word >> 24) & 0xFFU] ^ t[3][(word >> 32) & 0xFFU] ^ t[2][(word >> 40) & 0xFFU] ^
          t[1][(word >> 48) & 0xFFU] ^ t[0][word >> 56];
  }
  for (; left > 0; --left, ++at)
    crc = (crc >> 8) ^ t[0][(crc ^ std::to_integer<std::uint32_t>(*at)) & 0xFFU];
  return crc;
}

// --- the crc32 instruction -------------------------------------------------------------------

#if defined(__x86_64__)
[[gnu::target("sse4.2")]] std::uint32_t instruction_raw(std::uint32_t crc,
                                                        byte_view bytes) noexcept {
  const auto* at = bytes.data();
  auto left = bytes.size();
  std::uint64_t wide = crc;
  for (; left >= 8; left -= 8, at += 8)
    wide = _mm_crc32_u64(wide, load_le<std::uint64_t>(at));
  auto narrow = static_cast<std::uint32_t>(wide);
  for (; left > 0; --left, ++at)
    narrow = _mm_crc32_u8(narrow, std::to_integer<std::uint8_t>(*at));
  return narrow;
}

bool has_instruction() noexcept {
  static const bool answer = __builtin_cpu_supports("sse4.2") > 0;
  return answer;
}
#else
std::uint32_t instruction_raw(std::uint32_t crc, byte_view bytes) noexcept {
  return sliced_raw(checksum_kind::castagnoli, crc, bytes);
}
constexpr bool has_instruction() noexcept {
  return false;
}
#endif

std::uint32_t small_raw(checksum_kind kind, std::uint32_t crc, byte_view bytes) noexcept {
  if (kind == checksum_kind::castagnoli && has_instruction())
    return instruction_raw(crc, bytes);
  return sliced_raw(kind, crc, bytes);
}

// --- ISA-L -----------------------------------------------------------------------------------

std::uint32_t folded_castagnoli(std::uint32_t running, byte_view bytes) noexcept {
  // crc32_iscsi neither inverts on the way in nor out, takes an int, and forgot a const.
  auto crc = ~running;
  while (!bytes.empty()) {
    const auto step = std::min<std::size_t>(bytes.size(), INT_MAX);
    auto* at = const_cast<unsigned char*>( // it only reads
        reinterpret_cast<const unsigned char*>(bytes.data()));
    crc = crc32_iscsi(at, static_cast<int>(step), crc);
    bytes = bytes.subspan(step);
  }
  return ~crc;
}

std::uint32_t folded_iso_hdlc(std::uint32_t running, byte_view bytes) noexcept {
  return crc32_gzip_refl(running, reinterpret_cast<const unsigned char*>(bytes.data()),
                         bytes.size());
}

// --- arithmetic of sums ----------------------------------------------------------------------

// Polynomials modulo the checksum's, reflected: the highest bit is x^0.
constexpr std::uint32_t product(std::uint32_t polynomial, std::uint32_t a, std::uint32_t b) {
  std::uint32_t sum = 0;
  for (std::uint32_t bit = 0x80000000U; bit != 0; bit >>= 1) {
    sum ^= (a & bit) != 0 ? b : 0U;
    b = (b >> 1) ^ ((b & 1U) != 0 ? polynomial : 0U);
  }
  return sum;
}

// [k] is x^(8 * 2^k): what appending 2^k zero bytes multiplies a sum by.
constexpr std::array<std::uint32_t, 64> make_shifts(checksum_kind kind) {
  std::array<std::uint32_t, 64> shifts{};
  shifts[0] = 0x00800000U; // x^8
  for (std::size_t k = 1; k < shifts.size(); ++k)
    shifts[k] = product(polynomial_of(kind), shifts[k - 1], shifts[k - 1]);
  return shifts;
}

constexpr std::array shifts_of{make_shifts(checksum_kind::iso_hdlc),
                               make_shifts(checksum_kind::castagnoli)};

// --- the 256 sums a frame header can carry -----------------------------------------------------

constexpr std::array<std::uint32_t, 256> make_header_sums(checksum_kind kind) {
  const auto& table = slices_of[static_cast<std::size_t>(kind)][0];
  std::array<std::uint32_t, 256> sums{};
  for (std::uint32_t flags = 0; flags < 256; ++flags) {
    std::uint32_t crc = ~0U;
    for (const std::uint32_t byte : {0x4CU, 0x41U, 0x4EU, 0x43U, 0x01U, flags, 0x00U, 0x00U})
      crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFFU];
    sums[flags] = ~crc;
  }
  return sums;
}

constexpr std::array header_sums_of{make_header_sums(checksum_kind::iso_hdlc),
                                    make_header_sums(checksum_kind::castagnoli)};
static_assert(header_sums_of[0][0x04] == 0x6CD8F03AU && header_sums_of[1][0x04] == 0xDC38D405U);

} // namespace

std::uint32_t checksum_update(checksum_kind kind, std::uint32_t running, byte_view bytes) noexcept {
  if (bytes.size() < folding_from_bytes(kind))
    return ~small_raw(kind, ~running, bytes);
  return kind == checksum_kind::castagnoli ? folded_castagnoli(running, bytes)
                                           : folded_iso_hdlc(running, bytes);
}

std::uint32_t checksum(checksum_kind kind, byte_view bytes) noexcept {
  return checksum_update(kind, 0, bytes);
}

std::uint32_t combine(checksum_kind kind, std::uint32_t sum_a, std::uint32_t sum_b,
                      std::uint64_t length_b) noexcept {
  const auto& shifts = shifts_of[static_cast<std::size_t>(kind)];
  for (std::size_t k = 0; length_b != 0; ++k, length_b >>= 1)
    if ((length_b & 1U) != 0)
      sum_a = product(polynomial_of(kind), shifts[k], sum_a);
  return sum_a ^ sum_b;
}

std::uint32_t header_checksum(checksum_kind kind, std::uint8_t flags) noexcept {
  return header_sums_of[static_cast<std::size_t>(kind)][flags];
}

} // namespace lance::wire
