// One connection's bytes, buffer by buffer, into whole frames. A frame that lies in one receive
// buffer is shown where it lies; one that is torn over several is gathered: up to small_frame_bytes
// in memory of its own, above that in pooled buffers that are reserved once its first bytes have
// really come. A length in a header costs nothing before that.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runtime/buffer_pool.hpp"
#include "wire/frame.hpp"

namespace lance::actors {

/// How many pooled buffers torn frames may hold, all connections of a network lane together.
/// Reserved per frame as a whole, so that two half-received frames never wait for each other.
class assembly_budget {
 public:
  assembly_budget(runtime::buffer_pool& pool, std::uint32_t buffers)
      : pool_(pool), left_(buffers) {}
  [[nodiscard]] bool reserve(std::uint32_t buffers) noexcept {
    if (buffers > left_)
      return false;
    left_ -= buffers;
    return true;
  }
  void release(std::uint32_t buffers) noexcept { left_ += buffers; }
  [[nodiscard]] runtime::buffer_pool& pool() noexcept { return pool_; }
  [[nodiscard]] std::uint32_t left() const noexcept { return left_; }

 private:
  runtime::buffer_pool& pool_;
  std::uint32_t left_;
};

enum class assembly : std::uint8_t {
  frame,     ///< a whole frame, payload sum checked
  need_more, ///< the bytes given are used up
  no_memory, ///< come again with the same bytes when buffers have returned
  fault,     ///< close without a reply
};

/// Core of a connection's receive side; one thread; owns what a torn frame holds.
class frame_assembler {
 public:
  frame_assembler(std::uint32_t payload_limit, assembly_budget& budget)
      : limit_(payload_limit), budget_(budget) {}
  ~frame_assembler() { drop(); }
  frame_assembler(const frame_assembler&) = delete;
  frame_assembler& operator=(const frame_assembler&) = delete;

  /// Takes bytes from the front of `bytes` (and shortens it) until a frame is whole or none are
  /// left. With `frame`, header() and pieces() hold until the next call.
  [[nodiscard]] assembly next(byte_view& bytes);
  /// From the next frame on.
  void set_payload_limit(std::uint32_t bytes) noexcept { limit_ = bytes; }
  /// The frame has been handed on: what it reserved is free for others, who may wait for it while
  /// this connection is silent. header() and pieces() hold no longer.
  void handed_on() noexcept {
    if (delivered_)
      drop();
  }

  [[nodiscard]] const wire::frame_header& header() const noexcept { return header_; }
  /// The payload, in order. In the bytes given (in_place()), or in memory of the assembler's.
  [[nodiscard]] std::span<const byte_view> pieces() const noexcept { return pieces_; }
  [[nodiscard]] bool in_place() const noexcept { return in_place_; }
  /// The pooled buffers a torn large frame was gathered in; empty otherwise. May be moved out.
  [[nodiscard]] std::vector<runtime::buffer_ref>& buffers() noexcept { return buffers_; }

  /// The sum this peer uses; ISO-HDLC before its first header.
  [[nodiscard]] wire::checksum_kind kind() const noexcept {
    return kind_.value_or(wire::checksum_kind::iso_hdlc);
  }
  [[nodiscard]] wire::verdict fault() const noexcept { return fault_; }
  /// True while a frame has begun and is not whole.
  [[nodiscard]] bool torn() const noexcept { return header_have_ > 0 || gathering_; }
  /// True while that frame holds pooled buffers, which others may wait for.
  [[nodiscard]] bool holds_buffers() const noexcept { return reserved_ > 0 && !delivered_; }

 private:
  assembly give_up(wire::verdict why) noexcept;
  assembly gather(byte_view& bytes);
  bool make_room(std::size_t more);
  void drop() noexcept;

  std::uint32_t limit_;
  assembly_budget& budget_;
  std::optional<wire::checksum_kind> kind_;
  wire::frame_header header_;
  wire::verdict fault_ = wire::verdict::ok;
  std::vector<byte_view> pieces_;
  bool in_place_ = false;
  bool delivered_ = false; // the last call returned a frame gathered here
  // a torn frame
  std::array<std::byte, wire::frame_header_bytes> header_bytes_{};
  std::size_t header_have_ = 0;
  bool gathering_ = false;
  std::uint32_t have_ = 0;
  std::uint32_t running_crc_ = 0;
  std::uint32_t reserved_ = 0;
  std::vector<std::byte> small_;
  std::vector<runtime::buffer_ref> buffers_;
};

} // namespace lance::actors
