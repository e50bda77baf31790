// Random input that can be replayed: the seed is printed, and LANCE_SEED=<n> repeats it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "runtime/bytes.hpp"

namespace lance::wire::test {

class random_source {
 public:
  explicit random_source(const char* test) : engine_(choose_seed(test)) {}

  /// From 0 to `most`, both included.
  std::uint64_t up_to(std::uint64_t most) {
    return std::uniform_int_distribution<std::uint64_t>{0, most}(engine_);
  }

  std::vector<std::byte> bytes(std::size_t count) {
    std::vector<std::byte> made(count);
    for (auto& byte : made)
      byte = static_cast<std::byte>(engine_() & 0xff);
    return made;
  }

  /// One to four changes: a bit, a byte, a cut at the end, more at the end.
  void mutate(std::vector<std::byte>& target) {
    for (auto changes = 1 + up_to(3); changes > 0; --changes)
      mutate_once(target);
  }

 private:
  static std::uint64_t choose_seed(const char* test) {
    const auto* wanted = std::getenv("LANCE_SEED");
    const auto seed =
        wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : std::random_device{}();
    std::fprintf(stderr, "%s: LANCE_SEED=%llu\n", test, static_cast<unsigned long long>(seed));
    return seed;
  }

  void mutate_once(std::vector<std::byte>& target) {
    const auto choice = target.empty() ? 3 : up_to(3);
    const auto at = target.empty() ? 0 : up_to(target.size() - 1);
    switch (choice) {
    case 0:
      target[at] ^= static_cast<std::byte>(1U << up_to(7));
      break;
    case 1:
      target[at] = static_cast<std::byte>(up_to(255));
      break;
    case 2:
      target.resize(at);
      break;
    default:
      for (const auto byte : bytes(1 + up_to(8)))
        target.push_back(byte);
    }
  }

  std::mt19937_64 engine_;
};

/// A copy of `bytes` in memory of exactly that size, so that a sanitizer sees the first byte read
/// behind it. (A vector may have room to spare, and the end of a larger buffer hides the mistake.)
class exact_copy {
 public:
  explicit exact_copy(byte_view bytes)
      : size_(bytes.size()), memory_(std::make_unique<std::byte[]>(bytes.size())) {
    for (std::size_t at = 0; at < size_; ++at)
      memory_[at] = bytes[at];
  }
  [[nodiscard]] byte_view view() const { return {memory_.get(), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte[]> memory_;
};

} // namespace lance::wire::test
