// A broken promise, told by the checker that found it. The first one counts: what follows it may be
// its consequence.
#pragma once

#include <string>
#include <string_view>

namespace lance::sim {

class violations {
 public:
  void report(std::string_view promise, const std::string& what) {
    if (first_.empty())
      first_ = std::string{promise} + ": " + what;
  }
  [[nodiscard]] bool any() const noexcept { return !first_.empty(); }
  [[nodiscard]] const std::string& first() const noexcept { return first_; }

 private:
  std::string first_;
};

} // namespace lance::sim
