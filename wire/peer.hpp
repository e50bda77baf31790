// What nodes say to each other, as frames: the header, the greeting, the refusal. What the frames
// of replication hold is cluster/message_bytes. The layout stands in wire/README.md, "Between
// nodes".
//
// Pure functions, any thread. Lengths are compared with their bounds before memory is taken for
// them; a peer that sends anything else than these pages say is cut off.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"
#include "runtime/types.hpp"

namespace lance::wire {

enum class peer_kind : std::uint8_t {
  hello = 0x01,    ///< the first frame of either side, the dialler's before the other's
  refusal = 0x02,  ///< instead of a hello, or later: why the connection ends now
  messages = 0x10, ///< of the groups, without batches; those of many groups travel together
  append = 0x11,   ///< one message, and its batches as bulk
};

/// Of what follows a header. The body holds numbers: an append of 1 MiB over many terms is the
/// longest. The bulk holds batches: one of the largest size, or as many as an append carries.
inline constexpr std::uint32_t peer_body_bytes_max = 512 * KiB;
inline constexpr std::uint32_t peer_bulk_bytes_max = 17 * MiB;
/// Before the hello was answered, nobody sends more.
inline constexpr std::uint32_t peer_greeting_bytes_max = 1024;

struct peer_header {
  peer_kind kind{};
  std::uint32_t body_bytes = 0;
  std::uint32_t bulk_bytes = 0;
  std::uint32_t body_crc = 0; ///< CRC-32C
  friend bool operator==(const peer_header&, const peer_header&) = default;
};
inline constexpr std::size_t peer_header_bytes = 24;

/// The header of a frame with this body and so much bulk behind it.
[[nodiscard]] std::array<std::byte, peer_header_bytes>
encode_peer_header(peer_kind kind, byte_view body, std::uint32_t bulk_bytes) noexcept;

/// Errors: bad_frame (magic, version, kind, checksum, or a length above its bound; bulk where there
/// is none; before the greeting, anything but that). `bytes` has peer_header_bytes.
[[nodiscard]] result<peer_header> judge_peer_header(byte_view bytes, bool greeted) noexcept;

/// Whether the body is the one that the header speaks of.
[[nodiscard]] bool holds(const peer_header& header, byte_view body) noexcept;

using uuid = std::array<std::byte, 16>;

/// Which of the two connections between two nodes: so that elections never wait behind bulk data.
enum class peer_lane : std::uint8_t { control = 0, bulk = 1 };

/// Versions of everything behind the hello that this build speaks, both ends included.
inline constexpr std::uint8_t peer_version_min = 1;
inline constexpr std::uint8_t peer_version_max = 1;

struct peer_hello {
  std::uint8_t version_min = peer_version_min;
  std::uint8_t version_max = peer_version_max;
  peer_lane lane = peer_lane::control;
  node_id node;
  std::uint64_t incarnation = 0; ///< counts the starts of the process on its data directory
  std::uint64_t features = 0;    ///< bits that mean nothing to the other side are ignored
  uuid cluster{};                ///< of the cluster that was formed; zero: none yet
  uuid identity{};               ///< of the data directory: a wiped node is another one
  std::string cluster_name{};    ///< cluster.id, 1 to 64 bytes
  std::string client_address{};  ///< where clients of this node connect, up to 255 bytes
  std::string rack{};            ///< up to 64 bytes
  friend bool operator==(const peer_hello&, const peer_hello&) = default;
};
inline constexpr std::size_t cluster_name_bytes_max = 64;
inline constexpr std::size_t rack_bytes_max = 64;

[[nodiscard]] std::vector<std::byte> encode(const peer_hello& hello);
/// Errors: bad_format.
[[nodiscard]] result<peer_hello> decode_peer_hello(byte_view body);

/// The newest version both speak; unsupported when there is none.
[[nodiscard]] result<std::uint8_t> common_version(const peer_hello& a,
                                                  const peer_hello& b) noexcept;

enum class refusal_reason : std::uint8_t {
  version = 1,   ///< no common version
  cluster = 2,   ///< another cluster, by name or by uuid
  node = 3,      ///< a node of that number is not expected, or it is the receiver's own
  identity = 4,  ///< the number is known under another uuid, or the certificate bears another name
  duplicate = 5, ///< this lane of the pair is open already
  incarnation = 6, ///< a later start of the same node was seen
  malformed = 7,   ///< the bytes are none of these pages
};
/// A short word for metrics and logs.
[[nodiscard]] std::string_view name_of(refusal_reason reason) noexcept;

struct peer_refusal {
  refusal_reason reason{};
  std::string sentence{}; ///< for the log of the other side, up to 256 bytes
  friend bool operator==(const peer_refusal&, const peer_refusal&) = default;
};

[[nodiscard]] std::vector<std::byte> encode(const peer_refusal& refusal);
/// Errors: bad_format.
[[nodiscard]] result<peer_refusal> decode_peer_refusal(byte_view body);

} // namespace lance::wire
