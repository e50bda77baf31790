// Compressed payloads: what comes out never exceeds the limit, nor what the head claims, nor does
// the memory it costs; both forms agree; and the bytes come back from envelopes of our own.
//
// Input: limit, and what the rest is: an envelope, or plain bytes to be put into one that is then
// damaged at a chosen place.
#include <array>

#include "tests/fuzz/target.hpp"
#include "wire/compress.hpp"

namespace lance::fuzz {

namespace {

constexpr std::uint32_t largest_limit = 1 * MiB;

void open(byte_view envelope, std::uint32_t limit) {
  const auto head = wire::read_envelope(envelope, limit);
  std::vector<std::byte> out;
  const auto opened = wire::decompress(envelope, limit, out);
  LANCE_CHECK(out.size() <= limit && out.capacity() <= std::size_t{limit} + 64, out.capacity(),
              limit);
  if (!head) {
    LANCE_CHECK(!opened && opened.error() == head.error(), limit);
    LANCE_CHECK(out.capacity() == 0, out.capacity()); // a refused head costs nothing
    return;
  }
  LANCE_CHECK(head->original_size <= limit, head->original_size, limit);
  LANCE_CHECK(opened.has_value() || out.empty(), out.size());
  LANCE_CHECK(!opened || out.size() == head->original_size, out.size(), head->original_size);

  std::vector<std::byte> exact(head->original_size);
  const auto length = wire::decompress(envelope, limit, byte_span{exact});
  LANCE_CHECK(length.has_value() == opened.has_value(), head->original_size);
  LANCE_CHECK(!length || (*length == exact.size() && same(exact, out)), exact.size());
  if (head->original_size > 0) {
    const auto shorter = byte_span{exact}.first(exact.size() - 1);
    LANCE_CHECK(!wire::decompress(envelope, limit, shorter), exact.size());
  }
}

void make_and_damage(byte_view plain, bool zstd, std::size_t place, std::byte change) {
  auto envelope = zstd ? wire::encode_zstd(plain, 1) : wire::encode_lz4(plain);
  LANCE_CHECK(envelope.has_value(), plain.size());
  std::vector<std::byte> out;
  LANCE_CHECK(wire::decompress(*envelope, largest_limit, out).has_value(), plain.size());
  LANCE_CHECK(same(out, plain), plain.size());
  (*envelope)[place % envelope->size()] ^= change;
  open(copy_of(*envelope), largest_limit);
}

} // namespace

// Both forms of the output, the input's copy, and the working context of zstd, which stays.
const std::uint64_t allocated_bytes_max = 3 * largest_limit + 4 * MiB;

void one_input(byte_view input) {
  constexpr std::array<std::uint32_t, 4> limits{largest_limit, 4096, 64, 0};
  decisions choose{input};
  const auto how = choose.byte();
  if (how < 192) {
    open(choose.rest(), limits[how % limits.size()]);
    return;
  }
  const auto place = choose.byte() | std::size_t{choose.byte()} << 8U;
  const auto change = std::byte{choose.byte()};
  make_and_damage(choose.rest(), (how & 1U) != 0, place, change);
}

} // namespace lance::fuzz
