// A connection's bytes into frames: wire's cutter over the whole stream, and the server's assembler
// over the same stream in pieces, must see the same frames and the same fault at the same place;
// and every frame, written again, is the bytes it was read from.
//
// Input: limits, then how the stream is cut, then the stream.
#include <array>
#include <limits>
#include <optional>

#include "actors/frame_assembler.hpp"
#include "tests/fuzz/target.hpp"
#include "wire/frame.hpp"

namespace lance::fuzz {

namespace {

using actors::assembly;
using wire::checksum_kind;
using wire::frame_header_bytes;

constexpr std::size_t buffer_bytes = 4096;
constexpr std::uint32_t buffers = 16;
// An assembler's own memory (actors/limits.hpp: small_frame_bytes) and the target's lists; payloads
// of torn frames lie in the pool, which is there before the first input.
constexpr std::uint64_t assembler_bytes = 64 * KiB;

// What is seen often enough.
constexpr std::size_t prefixes_of_frames = 4;
constexpr std::size_t pieces_max = 200;

struct seen_frame {
  wire::frame_header header;
  std::vector<std::byte> payload;
  friend bool operator==(const seen_frame&, const seen_frame&) = default;
};

struct stream_story {
  std::vector<seen_frame> frames;
  wire::verdict end = wire::verdict::need_more;
};

runtime::buffer_pool& pool() {
  static const auto one = runtime::buffer_pool::make(
                              {.count = buffers, .buffer_bytes = buffer_bytes, .huge_pages = false})
                              .value();
  return *one;
}
[[maybe_unused]] const auto& made_before_the_first_input = pool();

void check_written_again(const wire::frame_cut& cut, checksum_kind kind, byte_view from) {
  std::vector<std::byte> again(cut.consumed);
  const auto length = wire::encode_frame(cut.header, kind, cut.payload, again);
  LANCE_CHECK(length == cut.consumed, length, cut.consumed);
  // Neither the reserved bytes nor the payload sum of an empty payload are kept.
  const bool kept = load_le<std::uint16_t>(from.data() + 6) == 0 &&
                    (!cut.payload.empty() || cut.header.payload_crc == 0);
  LANCE_CHECK(!kept || same(again, from.first(cut.consumed)), cut.consumed);
}

// A verdict once given does not change with more bytes.
void check_prefixes(byte_view bytes, std::optional<checksum_kind> kind, std::uint32_t limit) {
  const auto whole = wire::judge_header(bytes, kind, limit);
  for (std::size_t length = 0; length < std::min(bytes.size(), frame_header_bytes); ++length) {
    const auto said = wire::judge_header(bytes.first(length), kind, limit);
    LANCE_CHECK(said.outcome == wire::verdict::need_more || said.outcome == whole.outcome, length);
  }
}

stream_story cut_whole(byte_view stream, std::uint32_t limit) {
  stream_story story;
  wire::frame_cutter cutter{limit};
  std::optional<checksum_kind> kind;
  while (true) {
    if (story.frames.size() < prefixes_of_frames)
      check_prefixes(stream, kind, limit);
    const auto cut = cutter.next(stream);
    story.end = cut.outcome;
    if (cut.outcome != wire::verdict::ok) {
      LANCE_CHECK(cut.consumed == 0, cut.consumed);
      LANCE_CHECK(cut.outcome != wire::verdict::need_more || cut.wanted > stream.size(),
                  cut.wanted);
      return story;
    }
    kind = cutter.kind();
    LANCE_CHECK(cut.header.payload_length <= limit, cut.header.payload_length);
    LANCE_CHECK(cut.consumed == frame_header_bytes + cut.payload.size(), cut.consumed);
    check_written_again(cut, *kind, stream);
    story.frames.push_back({cut.header, copy_of(cut.payload)});
    stream = stream.subspan(cut.consumed);
  }
}

// How long the pieces are, again and again; the rest at once after a while.
std::size_t piece(byte_view pattern, std::size_t number) {
  if (number >= pieces_max)
    return std::numeric_limits<std::size_t>::max();
  if (pattern.empty())
    return 1;
  const auto length = std::to_integer<std::size_t>(pattern[number % pattern.size()]);
  return length < 128 ? length + 1 : (length - 127) * 64;
}

stream_story assemble(byte_view stream, std::uint32_t limit, byte_view pattern, bool& starved) {
  stream_story story;
  actors::assembly_budget budget{pool(), buffers};
  actors::frame_assembler assembler{limit, budget};
  for (std::size_t number = 0; !stream.empty(); ++number) {
    const auto part = copy_of(stream.first(std::min(piece(pattern, number), stream.size())));
    stream = stream.subspan(part.size());
    byte_view rest{part};
    while (true) {
      const auto step = assembler.next(rest);
      if (step == assembly::need_more) {
        LANCE_CHECK(rest.empty(), rest.size());
        break;
      }
      if (step == assembly::no_memory) {
        starved = true;
        return story;
      }
      if (step == assembly::fault) {
        story.end = assembler.fault();
        return story;
      }
      seen_frame seen{assembler.header(), {}};
      for (const auto view : assembler.pieces())
        seen.payload.insert(seen.payload.end(), view.begin(), view.end());
      story.frames.push_back(std::move(seen));
      assembler.handed_on();
      LANCE_CHECK(budget.left() == buffers, budget.left());
    }
  }
  return story;
}

} // namespace

// The stream twice, its frames twice, and a frame written again.
const std::uint64_t allocated_bytes_max = 6 * 64 * KiB + assembler_bytes;

void one_input(byte_view input) {
  constexpr std::array<std::uint32_t, 4> limits{16 * MiB, 100, 32 * KiB, 0};
  decisions choose{input};
  const auto limit = limits[choose.byte() % limits.size()];
  const auto pattern = choose.bytes(choose.byte() % 8);
  const auto stream = choose.rest();

  const auto whole = cut_whole(stream, limit);
  bool starved = false;
  const auto pieces = assemble(stream, limit, pattern, starved);
  LANCE_CHECK(pool().lent() == 0, pool().lent());
  if (starved) { // a length that the pool cannot hold: seen up to there
    LANCE_CHECK(pieces.frames.size() <= whole.frames.size(), pieces.frames.size());
    LANCE_CHECK(std::equal(pieces.frames.begin(), pieces.frames.end(), whole.frames.begin()),
                pieces.frames.size());
    return;
  }
  LANCE_CHECK(pieces.frames == whole.frames, pieces.frames.size(), whole.frames.size());
  LANCE_CHECK(pieces.end == whole.end, static_cast<int>(pieces.end), static_cast<int>(whole.end));
}

namespace {

// Frames where their magic is, lengths that the stream can hold, sums that hold.
void repair(byte_span input, unsigned seed) {
  if (input.size() < 2)
    return;
  auto at = std::min<std::size_t>(2 + std::to_integer<std::size_t>(input[1]) % 8, input.size());
  const auto kind = (seed & 8U) != 0 ? checksum_kind::castagnoli : checksum_kind::iso_hdlc;
  while (input.size() - at >= frame_header_bytes) {
    auto* head = input.data() + at;
    store_le<std::uint32_t>(head, 0x434E'414C);
    head[4] = std::byte{1};
    store_le(head + 8, wire::checksum(kind, {head, 8}));
    const auto room = static_cast<std::uint32_t>(input.size() - at - frame_header_bytes);
    auto length = load_le<std::uint32_t>(head + 32);
    if (length > room && (seed & 16U) != 0)
      return; // a length that lies stays
    if (length > room) {
      length %= room + 1;
      store_le(head + 32, length);
    }
    store_le(head + 36, wire::checksum(kind, {head + frame_header_bytes, length}));
    at += frame_header_bytes + length;
  }
}

} // namespace
} // namespace lance::fuzz

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t size_max, unsigned seed) {
  return lance::fuzz::mutate_and_repair(data, size, size_max, seed, [seed](lance::byte_span bytes) {
    lance::fuzz::repair(bytes, seed);
  });
}
