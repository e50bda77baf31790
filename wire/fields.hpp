// Consecutive little-endian numbers in fixed layouts, one after the other, so that a codec reads
// like its table in wire/README.md. For the codecs of this folder and of the folders above.
#pragma once

#include <concepts>
#include <cstdint>

#include "runtime/bytes.hpp"
#include "runtime/types.hpp"

namespace lance::wire {

/// Reads from bytes whose length the caller has compared with the layout's.
class field_reader {
 public:
  explicit field_reader(byte_view from) noexcept : at_(from.data()) {}

  template <std::unsigned_integral T>
  [[nodiscard]] T take() noexcept {
    const auto value = load_le<T>(at_);
    at_ += sizeof(T);
    return value;
  }
  template <class Strong>
  requires(!std::integral<Strong>) [[nodiscard]] Strong take() noexcept {
    return Strong{take<decltype(Strong::value)>()};
  }

 private:
  const std::byte* at_;
};

/// Writes to memory that has room for the whole layout.
class field_writer {
 public:
  explicit field_writer(std::byte* to) noexcept : at_(to) {}

  template <std::unsigned_integral T>
  field_writer& put(T value) noexcept {
    store_le(at_, value);
    at_ += sizeof(T);
    return *this;
  }
  template <class Tag, class Rep>
  field_writer& put(strong<Tag, Rep> number) noexcept {
    return put(number.value);
  }

 private:
  std::byte* at_;
};

} // namespace lance::wire
