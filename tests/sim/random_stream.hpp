// Random numbers that are the same everywhere: one stream per concern, all from one seed, so that a
// change in one concern does not move the others.
#pragma once

#include <cstdint>

namespace lance::sim {

/// SplitMix64. Copyable; the state is the number.
class random_stream {
 public:
  /// `concern` keeps the streams of one seed apart.
  constexpr random_stream(std::uint64_t seed, std::uint64_t concern) noexcept
      : state_(mix(seed * 0x9e3779b97f4a7c15 + mix(concern))) {}

  constexpr std::uint64_t next() noexcept { return mix(state_ += 0x9e3779b97f4a7c15); }
  /// In [0, bound); bound > 0.
  constexpr std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }
  /// In [low, high].
  constexpr std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
    return low + below(high - low + 1);
  }
  constexpr bool chance(std::uint64_t per_million) noexcept {
    return per_million > 0 && below(1'000'000) < per_million;
  }
  constexpr bool coin() noexcept { return (next() & 1) != 0; }
  template <class T, std::size_t N>
  constexpr const T& pick(const T (&from)[N]) noexcept {
    return from[below(N)];
  }

  // What std::shuffle and friends want.
  using result_type = std::uint64_t;
  static constexpr result_type min() noexcept { return 0; }
  static constexpr result_type max() noexcept { return ~result_type{0}; }
  constexpr result_type operator()() noexcept { return next(); }

 private:
  static constexpr std::uint64_t mix(std::uint64_t value) noexcept {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
  }
  std::uint64_t state_;
};

} // namespace lance::sim
