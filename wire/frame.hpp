// The LWP frame: a 44-byte header and its payload (wire/README.md, "Frame"). Writing, judging and
// cutting; pure functions on the caller's bytes, any thread, no allocation, no copy but where said.
//
// On the way in nothing of a header is believed before it is judged: magic, version, header sum,
// then the length against the caller's limit. Whoever gets a verdict other than `ok` or `need_more`
// closes the connection without a reply.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>

#include "runtime/bytes.hpp"
#include "runtime/types.hpp"
#include "wire/checksum.hpp"

namespace lance::wire {

inline constexpr std::size_t frame_header_bytes = 44;

/// What LWP v1 allows an ingest payload to have; a listener may allow less.
inline constexpr std::uint32_t payload_bytes_max = 16 * MiB;

/// The published client refuses replies whose header and payload together are longer.
inline constexpr std::uint32_t reply_bytes_max = 16 * MiB;
inline constexpr std::uint32_t reply_payload_bytes_max = reply_bytes_max - frame_header_bytes;

namespace flag {
inline constexpr std::uint8_t compressed = 0x01; ///< payload is an envelope (wire/compress.hpp)
inline constexpr std::uint8_t encrypted = 0x02;  ///< reserved, never set
inline constexpr std::uint8_t batch_mode = 0x04; ///< ingest
inline constexpr std::uint8_t ack = 0x08;
inline constexpr std::uint8_t backpressure = 0x10;
inline constexpr std::uint8_t keepalive = 0x20;
inline constexpr std::uint8_t control = 0x40;
} // namespace flag

enum class frame_kind : std::uint8_t { control, keepalive, ack, backpressure, ingest, unknown };

/// The header's content. Checksum of the header, magic and version are made when it is written.
struct frame_header {
  std::uint8_t flags = 0;
  std::uint64_t batch_id = 0; ///< ingest, ack: the client's batch; control: the command code
  std::uint64_t timestamp_ns = 0;
  std::uint32_t record_count = 0;
  std::uint32_t payload_length = 0;
  std::uint32_t payload_crc = 0;
  std::uint32_t topic_id = 0; ///< a log id

  friend bool operator==(const frame_header&, const frame_header&) = default;
};

/// By first match: control, keepalive, ack, backpressure, ingest (batch mode or a payload).
[[nodiscard]] frame_kind classify(std::uint8_t flags, std::uint32_t payload_length) noexcept;
[[nodiscard]] inline frame_kind classify(const frame_header& header) noexcept {
  return classify(header.flags, header.payload_length);
}

// --- writing -----------------------------------------------------------------------------------

[[nodiscard]] frame_header ack_header(std::uint64_t batch_id) noexcept;
[[nodiscard]] frame_header keepalive_header() noexcept;
[[nodiscard]] frame_header backpressure_header() noexcept;
/// Payload length and sum are still to be filled in, see seal().
[[nodiscard]] frame_header ingest_header(log_id log, std::uint64_t batch_id,
                                         std::uint64_t timestamp_ns,
                                         std::uint32_t record_count) noexcept;

/// `header` with length and sum of `payload`, for those who send the two from different places.
/// `payload` is shorter than 4 GiB.
[[nodiscard]] frame_header seal(frame_header header, checksum_kind kind,
                                byte_view payload) noexcept;

/// Writes frame_header_bytes to `to`.
void encode_header(const frame_header& header, checksum_kind kind, std::byte* to) noexcept;

/// Seals and writes header and a copy of `payload` to the front of `to`, which has room for them.
/// Returns the bytes written: frame_header_bytes + payload.size().
std::size_t encode_frame(const frame_header& header, checksum_kind kind, byte_view payload,
                         byte_span to) noexcept;

// --- judging -----------------------------------------------------------------------------------

enum class verdict : std::uint8_t {
  need_more, ///< good so far
  bad_magic,
  bad_version,
  bad_header_crc,
  too_large,       ///< payload_length is above the limit
  bad_payload_crc, ///< said by frame_cutter only
  ok,
};

/// `header` has content only when outcome is `ok`; `kind` from the twelfth good byte on.
struct judgement {
  verdict outcome = verdict::need_more;
  checksum_kind kind = checksum_kind::iso_hdlc;
  frame_header header;
};
static_assert(std::is_trivially_copyable_v<judgement>);

/// Judges the header at the front of `bytes`, as early as the bytes allow: the first wrong byte of
/// the magic is enough. `kind` is what this connection uses; without it both sums are tried and the
/// one that holds is returned, to be kept for the connection's life.
[[nodiscard]] judgement judge_header(byte_view bytes, std::optional<checksum_kind> kind,
                                     std::uint32_t payload_limit) noexcept;

/// Whether `payload`, whole, is what the judged header announced.
[[nodiscard]] bool payload_ok(const frame_header& header, checksum_kind kind,
                              byte_view payload) noexcept;

/// One step of a frame_cutter. `payload` points into the bytes that were given.
struct frame_cut {
  verdict outcome = verdict::need_more;
  frame_header header{};    ///< with `ok`
  byte_view payload{};      ///< with `ok`
  std::size_t consumed = 0; ///< with `ok`: where the next frame begins; otherwise 0
  std::size_t wanted = 0;   ///< with `need_more`: bytes from the frame's begin worth waiting for
};

/// Cuts one connection's contiguous bytes into frames and remembers the checksum kind its first
/// header used. Owned by the connection's owner. After a fault it must not be asked again.
class frame_cutter {
 public:
  explicit frame_cutter(std::uint32_t payload_limit,
                        std::optional<checksum_kind> kind = std::nullopt) noexcept
      : payload_limit_(payload_limit), kind_(kind) {}

  /// Judges the frame at the front of `bytes`, payload included. Nothing is remembered of a frame
  /// that is not whole: the caller comes again with the same bytes and more.
  [[nodiscard]] frame_cut next(byte_view bytes) noexcept;

  /// What the peer's first header used; replies are made with it. ISO-HDLC before that.
  [[nodiscard]] checksum_kind kind() const noexcept {
    return kind_.value_or(checksum_kind::iso_hdlc);
  }

 private:
  std::uint32_t payload_limit_;
  std::optional<checksum_kind> kind_;
};

} // namespace lance::wire
