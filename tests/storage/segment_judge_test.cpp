#include "storage/segment_judge.hpp"

#include <catch2/catch.hpp>

#include "segment_of_batches.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

segment_verdict judged(const segment_of_batches& made, byte_view index, std::size_t piece) {
  segment_judge judge{made.log, made.facts, index};
  for (std::size_t at = 0; at < made.data.bytes.size(); at += piece)
    judge.feed(
        byte_view{made.data.bytes}.subspan(at).first(std::min(piece, made.data.bytes.size() - at)));
  judge.finish();
  return judge.verdict();
}

void turn(segment_of_batches& made, std::size_t at) {
  made.data.bytes[at] ^= std::byte{8};
}

} // namespace

TEST_CASE("a whole segment is judged so, in pieces of any size", "[segment_judge]") {
  segment_of_batches made{mixed_sizes(64 * KiB)};
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{7}, std::size_t{113}, 4 * KiB, 1 * MiB}) {
    const auto verdict = judged(made, made.index, piece);
    CHECK(verdict.whole());
    CHECK_FALSE(verdict.index_wrong);
    CHECK(verdict.batches == made.batches.size());
  }
}

TEST_CASE("one rotten batch hides no other", "[segment_judge]") {
  segment_of_batches made{mixed_sizes(64 * KiB)};
  const bool in_header = GENERATE(true, false);
  std::vector<damaged_batch> expected;
  for (const std::size_t n : {std::size_t{0}, std::size_t{2}, made.batches.size() - 1}) {
    const auto& batch = made.batches[n];
    turn(made, batch.position + (in_header ? 60 : batch_header_bytes + 10));
    expected.push_back({batch.header.number, batch.header.offset, batch.header.end_offset()});
  }
  if (!in_header && made.batches.back().header.payload_length < 11)
    return;
  const auto verdict = judged(made, made.index, 1000);
  CHECK(verdict.damaged == expected);
  CHECK_FALSE(verdict.lost_way);
}

TEST_CASE("a damaged index is told apart from damaged data", "[segment_judge]") {
  segment_of_batches made{mixed_sizes(16 * KiB)};
  for (std::size_t at = 0; at < made.index.size(); ++at) {
    auto index = made.index;
    index[at] ^= std::byte{1};
    const auto verdict = judged(made, index, 4096);
    REQUIRE(verdict.whole());
    REQUIRE(verdict.index_wrong);
  }
  CHECK(judged(made, {}, 4096).index_wrong);
  CHECK(judged(made, {}, 4096).whole());
}

TEST_CASE("without an index a damaged header hides what follows, and it is said",
          "[segment_judge]") {
  segment_of_batches made{mixed_sizes(16 * KiB)};
  turn(made, made.batches[3].position + 20);
  const auto verdict = judged(made, {}, 4096);
  CHECK(verdict.lost_way);
  CHECK(verdict.batches == 3);
  REQUIRE(verdict.damaged.size() == 1);
  CHECK(verdict.damaged[0].number == made.batches[3].header.number);
  CHECK(verdict.damaged[0].end == made.facts.end_offset);
}

TEST_CASE("a file that is too short is damaged", "[segment_judge]") {
  segment_of_batches made{{100, 200, 300}};
  made.data.bytes.resize(made.data.bytes.size() - 1);
  CHECK_FALSE(judged(made, made.index, 64).whole());
}
