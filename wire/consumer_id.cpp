#include "wire/consumer_id.hpp"

#include <array>
#include <bit>

#include "runtime/bytes.hpp"

namespace lance::wire {

namespace {

// SipHash (Aumasson, Bernstein) with one round per word and three at the end, key 0,0: the initial
// state is then the constants alone ("somepseudorandomlygeneratedbytes").
class sip_1_3 {
 public:
  void word(std::uint64_t value) noexcept {
    v3_ ^= value;
    round();
    v0_ ^= value;
  }

  [[nodiscard]] std::uint64_t finish() noexcept {
    v2_ ^= 0xff;
    for (int n = 0; n < 3; ++n)
      round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  void round() noexcept {
    v0_ += v1_;
    v2_ += v3_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v1_;
    v0_ += v3_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ = std::rotl(v2_, 32);
  }

  std::uint64_t v0_ = 0x736f6d6570736575;
  std::uint64_t v1_ = 0x646f72616e646f6d;
  std::uint64_t v2_ = 0x6c7967656e657261;
  std::uint64_t v3_ = 0x7465646279746573;
};

} // namespace

std::uint64_t consumer_id_of(std::string_view name) noexcept {
  const auto bytes = as_bytes(name);
  const auto length = bytes.size() + 1; // with the byte FF
  sip_1_3 hash;
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8)
    hash.word(load_le<std::uint64_t>(bytes.data() + at));

  std::array<std::byte, 8> tail{};
  std::size_t filled = 0;
  for (; at < bytes.size(); ++at)
    tail[filled++] = bytes[at];
  tail[filled++] = std::byte{0xff};
  if (filled == tail.size()) { // the FF closed a word; the length gets one of its own
    hash.word(load_le<std::uint64_t>(tail.data()));
    tail.fill(std::byte{0});
  }
  tail[7] = static_cast<std::byte>(length & 0xff);
  hash.word(load_le<std::uint64_t>(tail.data()));
  return hash.finish();
}

} // namespace lance::wire
