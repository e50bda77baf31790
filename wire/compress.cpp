#include "wire/compress.hpp"

#include <algorithm>
#include <memory>

#include <lz4.h>
#include <zstd.h>

#include "runtime/check.hpp"

namespace lance::wire {

namespace {

constexpr std::size_t lz4_size_bytes = 4; // the body repeats original_size in front of the block

// No LZ4 block unfolds to more than this many times its own length; claims above are lies, and are
// found out before memory is taken.
constexpr std::uint64_t lz4_ratio_max = 255;

static_assert(original_bytes_max <= LZ4_MAX_INPUT_SIZE);

const char* chars(byte_view bytes) noexcept {
  return reinterpret_cast<const char*>(bytes.data());
}

std::vector<std::byte> begin_envelope(compression algorithm, byte_view plain, std::size_t room) {
  LANCE_CHECK(plain.size() <= original_bytes_max, plain.size());
  std::vector<std::byte> envelope(envelope_head_bytes + room);
  envelope[0] = static_cast<std::byte>(algorithm);
  store_le(envelope.data() + 1, static_cast<std::uint32_t>(plain.size()));
  return envelope;
}

result<void> open_none(byte_view body, byte_span out) noexcept {
  if (body.size() != out.size())
    return fail(errc::invalid_request);
  std::copy(body.begin(), body.end(), out.begin());
  return {};
}

bool lz4_claim_possible(byte_view body, std::uint32_t original_size) noexcept {
  return body.size() > lz4_size_bytes && load_le<std::uint32_t>(body.data()) == original_size &&
         original_size <= lz4_ratio_max * (body.size() - lz4_size_bytes);
}

result<void> open_lz4(byte_view body, byte_span out) noexcept {
  const auto block = body.subspan(lz4_size_bytes);
  if (block.size() > LZ4_MAX_INPUT_SIZE)
    return fail(errc::invalid_request);
  char nothing = 0; // LZ4 wants an address even for an empty result
  auto* to = out.empty() ? &nothing : reinterpret_cast<char*>(out.data());
  const auto made = LZ4_decompress_safe(chars(block), to, static_cast<int>(block.size()),
                                        static_cast<int>(out.size()));
  if (made < 0 || static_cast<std::size_t>(made) != out.size())
    return fail(errc::invalid_request);
  return {};
}

struct free_context {
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

result<void> open_zstd(byte_view body, byte_span out) noexcept {
  // About 160 KiB, the same for every frame: the window is `out` itself.
  thread_local const std::unique_ptr<ZSTD_DCtx, free_context> context{ZSTD_createDCtx()};
  if (!context)
    return fail(errc::internal);
  const auto made =
      ZSTD_decompressDCtx(context.get(), out.data(), out.size(), body.data(), body.size());
  if (ZSTD_isError(made) != 0 || made != out.size())
    return fail(errc::invalid_request);
  return {};
}

// What can be told from the first bytes of the body, before memory is taken.
bool claim_possible(const envelope_head& head, byte_view body) noexcept {
  switch (head.algorithm) {
  case compression::none:
    return body.size() == head.original_size;
  case compression::lz4:
    return lz4_claim_possible(body, head.original_size);
  case compression::zstd:
    break;
  }
  const auto content = ZSTD_getFrameContentSize(body.data(), body.size());
  return content != ZSTD_CONTENTSIZE_ERROR &&
         (content == ZSTD_CONTENTSIZE_UNKNOWN || content <= head.original_size);
}

result<void> open(compression algorithm, byte_view body, byte_span out) noexcept {
  switch (algorithm) {
  case compression::none:
    return open_none(body, out);
  case compression::lz4:
    return open_lz4(body, out);
  case compression::zstd:
    break;
  }
  return open_zstd(body, out);
}

result<envelope_head> believable(byte_view envelope, std::uint32_t limit) noexcept {
  const auto head = read_envelope(envelope, limit);
  if (head && !claim_possible(*head, envelope.subspan(envelope_head_bytes)))
    return fail(errc::invalid_request);
  return head;
}

} // namespace

result<std::vector<std::byte>> encode_lz4(byte_view plain) {
  const auto room = LZ4_compressBound(static_cast<int>(plain.size()));
  auto envelope =
      begin_envelope(compression::lz4, plain, lz4_size_bytes + static_cast<std::size_t>(room));
  auto* body = envelope.data() + envelope_head_bytes;
  store_le(body, static_cast<std::uint32_t>(plain.size()));
  const auto made =
      LZ4_compress_default(chars(plain), reinterpret_cast<char*>(body + lz4_size_bytes),
                           static_cast<int>(plain.size()), room);
  if (made <= 0)
    return fail(errc::internal);
  envelope.resize(envelope_head_bytes + lz4_size_bytes + static_cast<std::size_t>(made));
  return envelope;
}

result<std::vector<std::byte>> encode_zstd(byte_view plain, int level) {
  const auto room = ZSTD_compressBound(plain.size());
  auto envelope = begin_envelope(compression::zstd, plain, room);
  const auto made =
      ZSTD_compress(envelope.data() + envelope_head_bytes, room, plain.data(), plain.size(), level);
  if (ZSTD_isError(made) != 0)
    return fail(errc::internal);
  envelope.resize(envelope_head_bytes + made);
  return envelope;
}

result<envelope_head> read_envelope(byte_view envelope, std::uint32_t limit) noexcept {
  if (envelope.size() < envelope_head_bytes)
    return fail(errc::invalid_request);
  const auto algorithm = std::to_integer<std::uint8_t>(envelope[0]);
  if (algorithm > static_cast<std::uint8_t>(compression::zstd))
    return fail(errc::unsupported);
  const envelope_head head{static_cast<compression>(algorithm),
                           load_le<std::uint32_t>(envelope.data() + 1)};
  if (head.original_size > limit)
    return fail(errc::too_large);
  return head;
}

result<std::size_t> decompress(byte_view envelope, std::uint32_t limit, byte_span out) noexcept {
  const auto head = believable(envelope, limit);
  if (!head)
    return tl::unexpected{head.error()};
  if (out.size() < head->original_size)
    return fail(errc::too_large);
  const auto opened =
      open(head->algorithm, envelope.subspan(envelope_head_bytes), out.first(head->original_size));
  if (!opened)
    return tl::unexpected{opened.error()};
  return head->original_size;
}

result<void> decompress(byte_view envelope, std::uint32_t limit, std::vector<std::byte>& out) {
  out.clear();
  const auto head = believable(envelope, limit);
  if (!head)
    return tl::unexpected{head.error()};
  out.resize(head->original_size);
  auto opened = open(head->algorithm, envelope.subspan(envelope_head_bytes), out);
  if (!opened)
    out.clear();
  return opened;
}

} // namespace lance::wire
