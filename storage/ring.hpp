// A first-in first-out row in one array that grows by doubling and keeps its memory: once it has
// seen its largest load it allocates no more. One thread.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "runtime/check.hpp"

namespace lance::storage {

template <class T>
class ring {
 public:
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] T& operator[](std::size_t at) noexcept { return slots_[index(at)]; }
  [[nodiscard]] const T& operator[](std::size_t at) const noexcept { return slots_[index(at)]; }
  [[nodiscard]] T& front() noexcept { return (*this)[0]; }
  [[nodiscard]] const T& front() const noexcept { return (*this)[0]; }
  [[nodiscard]] T& back() noexcept { return (*this)[size_ - 1]; }
  [[nodiscard]] const T& back() const noexcept { return (*this)[size_ - 1]; }

  T& push(T value) {
    if (size_ == slots_.size())
      grow();
    auto& slot = slots_[index(size_++)];
    slot = std::move(value);
    return slot;
  }
  T pop() {
    LANCE_CHECK(size_ > 0);
    auto value = std::exchange(slots_[first_], T{});
    first_ = index(1);
    --size_;
    return value;
  }
  void clear() {
    while (!empty())
      pop();
  }

 private:
  [[nodiscard]] std::size_t index(std::size_t at) const noexcept {
    return (first_ + at) & (slots_.size() - 1);
  }
  void grow() {
    std::vector<T> larger(slots_.empty() ? 8 : slots_.size() * 2);
    for (std::size_t i = 0; i < size_; ++i)
      larger[i] = std::move((*this)[i]);
    slots_ = std::move(larger);
    first_ = 0;
  }

  std::vector<T> slots_; // a power of two, or none
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

} // namespace lance::storage
