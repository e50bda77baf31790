#include "storage/examine.hpp"

#include <catch2/catch.hpp>

#include "segment_of_batches.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

// Under a sanitizer a hundredth of the bits: the loops are the same, only slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t stride = 101;
#else
constexpr std::size_t stride = 1;
#endif

index_loader gives(const std::vector<std::byte>& index) {
  return [&](const std::string&) { return std::make_unique<bytes_mapping>(index); };
}

// Turns each bit of `bytes` once and calls `look`, which says whether the turn was noticed.
template <class Look>
std::vector<std::size_t> unnoticed(std::vector<std::byte>& bytes, Look look) {
  std::vector<std::size_t> missed;
  for (std::size_t bit = 0; bit < bytes.size() * 8; bit += stride) {
    const auto flip = std::byte{1} << bit % 8;
    bytes[bit / 8] ^= flip;
    if (!look())
      missed.push_back(bit);
    bytes[bit / 8] ^= flip;
  }
  return missed;
}

} // namespace

TEST_CASE("a whole segment and its index are ok, closed and active", "[examine]") {
  segment_of_batches made{mixed_sizes(64 * KiB)};
  const auto closed = examine(made.closed_name(), made.data, gives(made.index));
  REQUIRE(closed);
  CHECK(closed->state == segment_state::ok);
  CHECK(closed->index == index_state::ok);
  CHECK(closed->closed);
  CHECK(closed->batches.size() == made.batches.size());
  made.data.bytes.resize(128 * KiB); // an active file is longer
  const auto active = examine(made.active_name(), made.data, gives(made.index));
  REQUIRE(active);
  CHECK((active->state == segment_state::ok || active->state == segment_state::torn));
  CHECK_FALSE(active->closed);
}

TEST_CASE("every single bit of a closed segment shows when it turns", "[examine]") {
  segment_of_batches made{mixed_sizes(64 * KiB)};
  REQUIRE(made.data.bytes.size() >= 64 * KiB);
  const auto name = made.closed_name();
  const auto load = gives(made.index);
  const auto missed = unnoticed(made.data.bytes, [&] {
    return examine(name, made.data, load)->state == segment_state::damaged;
  });
  CHECK(missed == std::vector<std::size_t>{});
}

TEST_CASE("every single bit of an active segment shows when it turns", "[examine]") {
  segment_of_batches made{mixed_sizes(60 * KiB)};
  const auto name = made.active_name();
  const bool indexed = GENERATE(true, false); // the last batches may not have their entries yet
  if (!indexed)
    made.index.resize(index_header_bytes + 5 * index_entry_bytes);
  const auto load = gives(made.index);
  const auto missed = unnoticed(made.data.bytes, [&] {
    const auto state = examine(name, made.data, load)->state;
    return state == segment_state::damaged || (!indexed && state == segment_state::torn);
  });
  CHECK(missed == std::vector<std::size_t>{});
}

TEST_CASE("every single bit of an index shows when it turns", "[examine]") {
  segment_of_batches made{std::vector<std::size_t>(1023, 20)};
  REQUIRE(made.index.size() == 64 * KiB);
  const auto name = GENERATE_REF(made.closed_name(), made.active_name());
  const auto found = examine(name, made.data, gives(made.index));
  REQUIRE(found);
  REQUIRE(found->index == index_state::ok);
  const auto missed =
      unnoticed(made.index, [&] { return judge_index(made.index, *found) == index_state::wrong; });
  CHECK(missed == std::vector<std::size_t>{});
}

TEST_CASE("an index of another length is behind or wrong", "[examine]") {
  segment_of_batches made{{100, 200, 300}};
  const auto closed = *examine(made.closed_name(), made.data, gives(made.index));
  const auto active = *examine(made.active_name(), made.data, gives(made.index));
  auto bytes = made.index;
  bytes.resize(bytes.size() - index_entry_bytes);
  CHECK(judge_index(bytes, closed) == index_state::behind);
  bytes.resize(bytes.size() - 10);
  CHECK(judge_index(bytes, active) == index_state::behind); // half an entry on its way
  CHECK(judge_index(bytes, closed) == index_state::wrong);
  bytes = made.index;
  bytes.resize(bytes.size() + index_entry_bytes);
  CHECK(judge_index(bytes, active) == index_state::wrong);
  CHECK(judge_index({}, active) == index_state::wrong);
}
