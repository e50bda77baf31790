// What happened, as one number: FNV-1a over every event, its time and its values. Two runs of one
// seed that end with the same number were the same run.
#pragma once

#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string_view>

namespace lance::sim {

class trace {
 public:
  void note(std::string_view event, std::initializer_list<std::uint64_t> values) noexcept {
    ++events_;
    for (const char c : event)
      eat(static_cast<unsigned char>(c));
    eat_number(now_ns);
    for (const auto value : values)
      eat_number(value);
    if (print)
      say(event, values);
  }
  [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
  [[nodiscard]] std::uint64_t events() const noexcept { return events_; }

  std::uint64_t now_ns = 0; ///< simulated; set by who moves time
  bool print = false;       ///< one line per event, to stdout

 private:
  void say(std::string_view event, std::initializer_list<std::uint64_t> values) const {
    std::printf("%12.3f ms  %.*s", static_cast<double>(now_ns) / 1e6,
                static_cast<int>(event.size()), event.data());
    for (const auto value : values)
      std::printf(" %llu", static_cast<unsigned long long>(value));
    std::printf("\n");
  }
  void eat(unsigned char byte) noexcept { hash_ = (hash_ ^ byte) * 0x100000001b3; }
  void eat_number(std::uint64_t value) noexcept {
    for (int i = 0; i < 8; ++i, value >>= 8)
      eat(static_cast<unsigned char>(value));
  }
  std::uint64_t hash_ = 0xcbf29ce484222325;
  std::uint64_t events_ = 0;
};

} // namespace lance::sim
