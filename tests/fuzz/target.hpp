// What every fuzz target is made of. A target is one file with two definitions, one_input() and
// allocated_bytes_max; guard.cpp makes libFuzzer's entry of them and watches time and memory.
// Linked with libFuzzer it searches (`./dev fuzz`), linked with replay_main.cpp it repeats seeds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/bytes.hpp"
#include "runtime/check.hpp"

// libFuzzer's own, or replay_main.cpp's.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

namespace lance::fuzz {

/// Feeds one input to the decoder under test. Breaks off by LANCE_CHECK when a promise is broken;
/// the sanitizers do for the rest. `input` lies in memory of exactly its size.
void one_input(byte_view input);

/// How many bytes an input may have allocated at any moment: the cap the decoder promises, and what
/// the target itself keeps.
extern const std::uint64_t allocated_bytes_max;

/// No decoder may take longer, in processor time of its thread.
inline constexpr std::uint64_t input_ns_max = 100'000'000;

/// The front of an input decides how the rest is used. An empty input decides 0.
class decisions {
 public:
  explicit decisions(byte_view input) noexcept : rest_(input) {}

  std::uint8_t byte() noexcept {
    if (rest_.empty())
      return 0;
    const auto first = std::to_integer<std::uint8_t>(rest_.front());
    rest_ = rest_.subspan(1);
    return first;
  }
  /// Up to `most` bytes.
  byte_view bytes(std::size_t most) noexcept {
    const auto some = rest_.first(most < rest_.size() ? most : rest_.size());
    rest_ = rest_.subspan(some.size());
    return some;
  }
  [[nodiscard]] byte_view rest() const noexcept { return rest_; }

 private:
  byte_view rest_;
};

/// A copy in memory of exactly that size, so that a sanitizer sees the first byte read behind it.
[[nodiscard]] inline std::vector<std::byte> copy_of(byte_view bytes) {
  return {bytes.begin(), bytes.end()};
}

[[nodiscard]] inline bool same(byte_view a, byte_view b) noexcept {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

/// For LLVMFuzzerCustomMutator: changes `data` as libFuzzer would, and then has `repair` put right
/// what would stop every input at the door (checksums), except in one of eight inputs.
template <class Repair>
std::size_t mutate_and_repair(std::uint8_t* data, std::size_t size, std::size_t size_max,
                              unsigned seed, Repair repair) {
  size = LLVMFuzzerMutate(data, size, size_max);
  if (seed % 8 != 0)
    repair(byte_span{reinterpret_cast<std::byte*>(data), size});
  return size;
}

} // namespace lance::fuzz
