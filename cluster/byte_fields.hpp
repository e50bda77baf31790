// Fields of this folder's formats, little-endian: written behind each other, and read without
// believing a length. Terms, places and memberships have one form everywhere.
//
// Internal to cluster/. One owner each; any thread.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "cluster/log_terms.hpp"
#include "cluster/membership.hpp"
#include "runtime/bytes.hpp"

namespace lance::cluster {

class growing_writer {
 public:
  explicit growing_writer(std::vector<std::byte>& to) : to_(to) {}
  template <std::unsigned_integral T>
  growing_writer& put(T value) {
    to_.resize(to_.size() + sizeof value);
    store_le(to_.data() + to_.size() - sizeof value, value);
    return *this;
  }
  template <class Tag, class Rep>
  growing_writer& put(strong<Tag, Rep> number) {
    return put(number.value);
  }
  growing_writer& put(const term_position& place) { return put(place.end).put(place.in_term); }
  growing_writer& put(const membership_at& held) {
    put(held.at);
    put(static_cast<std::uint8_t>(held.members.voters.size()));
    put(static_cast<std::uint8_t>(held.members.learners.size()));
    for (const auto node : held.members.voters)
      put(node);
    for (const auto node : held.members.learners)
      put(node);
    return *this;
  }

 private:
  std::vector<std::byte>& to_;
};

// Reads numbers until they run out; what is taken then is 0, and ok() says so.
class careful_reader {
 public:
  explicit careful_reader(byte_view from) noexcept : rest_(from) {}
  template <class T>
  [[nodiscard]] T take() noexcept {
    if constexpr (std::is_integral_v<T>) {
      if (rest_.size() < sizeof(T)) {
        ok_ = false;
        rest_ = {};
        return T{};
      }
      const auto value = load_le<T>(rest_.data());
      rest_ = rest_.subspan(sizeof(T));
      return value;
    } else {
      return T{take<decltype(T::value)>()};
    }
  }
  [[nodiscard]] term_position take_place() noexcept {
    const auto end = take<batch_number>();
    return {end, take<term>()};
  }
  [[nodiscard]] membership_at take_membership() {
    membership_at held;
    held.at = take<batch_number>();
    const auto voters = take<std::uint8_t>();
    const auto learners = take<std::uint8_t>();
    if (std::size_t{voters} + learners > members_max) {
      ok_ = false;
      return held;
    }
    for (int i = 0; i < voters; ++i)
      held.members.voters.push_back(take<node_id>());
    for (int i = 0; i < learners; ++i)
      held.members.learners.push_back(take<node_id>());
    ok_ = ok_ && well_formed(held.members);
    return held;
  }
  [[nodiscard]] std::size_t left() const noexcept { return rest_.size(); }
  void refuse() noexcept { ok_ = false; }
  /// All was there, and nothing is left.
  [[nodiscard]] bool whole() const noexcept { return ok_ && rest_.empty(); }
  [[nodiscard]] bool ok() const noexcept { return ok_; }

 private:
  byte_view rest_;
  bool ok_ = true;
};

} // namespace lance::cluster
