// Reads that meet retention or bit rot: a reply has right bytes and says where they lie.
#include "actors/fetcher.hpp"

#include <catch2/catch.hpp>

#include "storage/layout.hpp"
#include "tests/storage/bench_of_log.hpp"
#include "tests/storage/sim_disk.hpp"

using namespace lance;
using namespace lance::actors;
using lance::storage::testing::log_bench;
using lance::storage::testing::payload_of;
using lance::storage::testing::setup;
using lance::storage::testing::sim_disk;

namespace {

constexpr std::size_t batch_bytes = 50'000;
constexpr std::size_t batches = 9; // three in each of three segments

setup without_cache() {
  setup how;
  how.chosen.tail_cache_bytes = 0;
  return how;
}

// A log of three closed segments on a slow disk, and one request to it.
struct world final : fetch_owner {
  world() : bench(door, without_cache(), [this] { return door.step(); }) {
    REQUIRE(bench.open());
    for (std::size_t i = 0; i < batches; i += 3) {
      bench.append_durably(3, batch_bytes);
      bench.end_segment();
    }
    replies = *runtime::buffer_pool::make({16, 64 * KiB, -1, false});
    reads = *runtime::buffer_pool::make({8, 64 * KiB, -1, false});
    reader.emplace(*reads, storage::options{});
    by.emplace(*this, *reader, *replies);
  }

  void ask(read_kind kind, std::uint32_t max_bytes, std::uint64_t start = 0) {
    done = false;
    by->release();
    by->reply().reset();
    auto request = requests.take();
    request->kind = kind;
    request->max_bytes = max_bytes;
    request->start = byte_offset{start};
    auto reply = reply_messages.take();
    REQUIRE(by->begin(request, reply, bench.log(), 8));
  }
  void fetched(fetcher&) override { done = true; }
  /// So many steps of the disk.
  void steps(int count) {
    for (int i = 0; i < count && !done; ++i)
      bench.drive();
  }
  /// One bit of a batch's payload turns on the disk.
  void rot(std::uint64_t number) {
    const auto& facts = bench.log().segment_at((number - 1) / 3);
    const auto path = storage::layout::join(bench.log().directory(),
                                            storage::layout::closed_name(facts.id, facts.last_ns));
    const auto at = (number - 1) % 3 * (storage::batch_header_bytes + batch_bytes) +
                    storage::batch_header_bytes + 20'000;
    const auto byte = door.content(path)[at] ^ std::byte{2};
    door.overwrite(path, at, {&byte, 1});
  }
  void drop_to(std::uint64_t number) {
    REQUIRE(*bench.log().drop_segments_before(batch_number{number}) > 0);
  }
  std::vector<std::byte> data() {
    std::vector<std::byte> all;
    const auto& reply = *by->reply();
    REQUIRE(reply.buffers.size() == reply.sizes.size());
    for (std::size_t i = 0; i < reply.buffers.size(); ++i) {
      const auto* from = reply.buffers[i].data() + (i == 0 ? reply_headroom : 0);
      all.insert(all.end(), from, from + reply.sizes[i]);
    }
    return all;
  }
  static std::vector<std::byte> stream() {
    std::vector<std::byte> all;
    for (std::uint64_t number = 1; number <= batches; ++number) {
      const auto payload = payload_of(number, batch_bytes);
      all.insert(all.end(), payload.begin(), payload.end());
    }
    return all;
  }

  sim_disk door{11};
  log_bench bench;
  std::unique_ptr<runtime::buffer_pool> replies, reads;
  runtime::message_pool<read_request> requests{1};
  runtime::message_pool<read_reply> reply_messages{1};
  std::optional<storage::reader> reader;
  std::optional<fetcher> by;
  bool done = false;
};

} // namespace

TEST_CASE("bytes that retention overtakes are right, and the reply says which they are") {
  const auto expected = world::stream();
  std::size_t cut = 0;
  for (int before = 0; before < 40; ++before) {
    INFO("dropped after " << before << " steps");
    world here;
    here.ask(read_kind::bytes, 1 * MiB);
    here.steps(before);
    if (here.done) // all was read before
      break;
    here.drop_to(10);
    here.steps(1000);
    REQUIRE(here.done);
    const auto& reply = *here.by->reply();
    REQUIRE(reply.done);
    const auto got = here.data();
    const auto begin = reply.next.value - got.size();
    REQUIRE(reply.next.value <= expected.size());
    CHECK(std::equal(got.begin(), got.end(), expected.begin() + static_cast<long>(begin)));
    cut += got.size() < expected.size() ? 1U : 0U;
  }
  CHECK(cut > 1); // or nothing was shown
}

TEST_CASE("whole batches that retention overtakes are answered from the new start") {
  const auto expected = world::stream();
  std::size_t moved = 0;
  for (int before = 0; before < 40; ++before) {
    INFO("dropped after " << before << " steps");
    world here;
    here.ask(read_kind::batches, 1 * MiB);
    here.steps(before);
    if (here.done)
      break;
    here.drop_to(4); // the first of three segments
    here.steps(1000);
    REQUIRE(here.done);
    const auto& reply = *here.by->reply();
    REQUIRE(reply.done);
    const auto all = here.data();
    const auto head = reply.batch_count * wire::batch_entry_bytes;
    REQUIRE(all.size() > head);
    const std::vector<std::byte> got(all.begin() + static_cast<long>(head), all.end());
    CHECK(got.size() == reply.batch_count * batch_bytes);
    const auto begin = reply.next.value - got.size();
    CHECK((begin == 0 || begin == 3 * batch_bytes));
    CHECK(reply.start_record.value == begin / batch_bytes);
    CHECK(std::equal(got.begin(), got.end(), expected.begin() + static_cast<long>(begin)));
    moved += begin > 0 ? 1U : 0U;
  }
  CHECK(moved > 0);
}

TEST_CASE("a reader of an emptied log is led to its end, and may wait there") {
  world here;
  here.drop_to(10);
  read_request follow;
  follow.kind = read_kind::batches;
  follow.max_wait_ms = 1000;
  CHECK(fetcher::should_wait(follow, here.bench.log()));
  here.ask(read_kind::bytes, 1000);
  REQUIRE(here.done);
  CHECK(here.data().empty());
  CHECK(here.by->reply()->next.value == batches * batch_bytes);
  here.bench.append_durably(1, batch_bytes);
  CHECK_FALSE(fetcher::should_wait(follow, here.bench.log()));
}

TEST_CASE(
    "what lies before and behind a rotten batch is served, and itself is refused with its place",
    "[rot]") {
  const auto kind = GENERATE(read_kind::bytes, read_kind::batches);
  const auto rotten = GENERATE(std::uint64_t{1}, std::uint64_t{5}, std::uint64_t{9});
  const auto expected = world::stream();
  const auto begin = (rotten - 1) * batch_bytes;
  const auto end = rotten * batch_bytes;
  world here;
  here.rot(rotten);
  const auto check_served = [&](std::uint64_t from, std::uint64_t to) {
    REQUIRE(here.done);
    const auto& reply = *here.by->reply();
    REQUIRE(reply.done);
    CHECK(reply.next.value == to);
    auto got = here.data();
    if (kind == read_kind::batches) {
      REQUIRE(reply.batch_count == (to - from) / batch_bytes);
      REQUIRE(got.size() > reply.batch_count * wire::batch_entry_bytes);
      got.erase(got.begin(),
                got.begin() + static_cast<long>(reply.batch_count * wire::batch_entry_bytes));
    }
    REQUIRE(got.size() == to - from);
    CHECK(std::equal(got.begin(), got.end(), expected.begin() + static_cast<long>(from)));
  };
  if (rotten > 1) {
    here.ask(kind, 1 * MiB);
    here.steps(1000);
    check_served(0, begin);
  }
  here.ask(kind, 1 * MiB, begin + 77);
  here.steps(1000);
  REQUIRE(here.done);
  CHECK_FALSE(here.by->reply()->done);
  CHECK(here.by->reply()->refusal == errc::corrupt);
  CHECK(here.by->reply()->damaged.value == begin);
  CHECK(here.by->reply()->damaged_end.value == end);
  CHECK(here.by->reply()->buffers.empty());
  if (rotten < batches) {
    here.ask(kind, 1 * MiB, end);
    here.steps(1000);
    check_served(end, expected.size());
  }
}
