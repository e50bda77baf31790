#include "storage/appender.hpp"

#include <catch2/catch.hpp>

#include "bench_of_log.hpp"

using namespace lance;
using namespace lance::storage;
using lance::storage::testing::payload_of;

namespace {

struct front {
  explicit front(std::uint32_t buffers, std::size_t buffer_bytes = 64 * KiB)
      : pool(*runtime::buffer_pool::make({buffers, buffer_bytes, -1, false})) {
    chosen.segment_bytes = 32 * MiB;
    start.log = log_id{7};
    start.next_number = batch_number{1};
    start.grant = {log_state::open, 0, 0, 32 * MiB};
  }
  appender make() { return appender{start, chosen, *pool, {node_id{3}, 1}}; }
  static result<sealed_batch> append(appender& to, byte_view payload, std::uint64_t wall_ns) {
    append_request request;
    const std::array pieces{payload.first(payload.size() / 2), payload.subspan(payload.size() / 2)};
    request.payload = pieces;
    request.payload_crc = wire::checksum(request.payload_sum, payload);
    request.record_count = 3;
    request.wall_ns = wall_ns;
    return to.append(request);
  }

  options chosen;
  append_start start;
  std::unique_ptr<runtime::buffer_pool> pool;
};

// The image of a run's file range.
std::vector<std::byte> image_of(const sealed_run& run) {
  std::vector<std::byte> image(run.end - run.begin);
  for (const auto& chunk : run.chunks) // ascending: a later one overwrites
    for (auto at = std::max(run.begin, chunk.file_begin);
         at < std::min(run.end, chunk.file_capacity_end()); ++at)
      image[at - run.begin] = chunk.buffer.data()[at - chunk.file_begin];
  return image;
}

} // namespace

TEST_CASE("batches get their places, and the image is headers and payloads", "[appender]") {
  front world{8, 4096}; // small buffers: batches span them
  auto to = world.make();
  std::vector<sealed_batch> sealed;
  std::vector<std::byte> expected;
  std::uint32_t previous = chain_seed(log_id{7}, batch_number{1});
  for (const std::size_t size : {100U, 5000U, 1U, 9000U}) {
    const auto payload = payload_of(sealed.size(), size);
    const auto batch = front::append(to, payload, 1000 + sealed.size());
    REQUIRE(batch);
    auto header = batch->header;
    expected.resize(expected.size() + batch_header_bytes);
    encode(header, previous, expected.data() + expected.size() - batch_header_bytes);
    CHECK(header == batch->header);
    previous = header.header_crc;
    expected.insert(expected.end(), payload.begin(), payload.end());
    sealed.push_back(*batch);
  }
  CHECK(sealed[0].header.has(batch_flag::starts_segment));
  CHECK_FALSE(sealed[1].header.has(batch_flag::starts_segment));
  CHECK(sealed[3].header.number == batch_number{4});
  CHECK(sealed[3].header.offset == byte_offset{5101});
  CHECK(sealed[3].header.first_record == record_number{9});
  CHECK(sealed[3].header.key > sealed[2].header.key);

  sealed_run run;
  REQUIRE(to.collect(run));
  CHECK(run.starts_segment);
  CHECK(run.segment == segment_id{batch_number{1}, 1000});
  CHECK(run.batches.size() == 4);
  CHECK(run.begin == 0);
  CHECK(image_of(run) == expected);
  // The rest of the last block is zero, whatever the buffer was before.
  const auto& last = run.chunks.back();
  for (auto at = run.end; at < align_up(run.end, block_bytes); ++at)
    REQUIRE(last.buffer.data()[at - last.file_begin] == std::byte{0});
  CHECK_FALSE(to.collect(run));
  CHECK(run.empty());
}

TEST_CASE("a clock that goes back does not take times or keys back", "[appender]") {
  front world{4};
  auto to = world.make();
  const auto payload = payload_of(1, 10);
  const auto first = front::append(to, payload, 5000);
  const auto second = front::append(to, payload, 4000);
  REQUIRE(second);
  CHECK(second->header.append_time_ns == 5000);
  CHECK(second->header.key > first->header.key);
}

TEST_CASE("a dry pool refuses a batch and changes nothing", "[appender]") {
  front world{2, 4096};
  auto to = world.make();
  const auto large = payload_of(1, 8100); // with its header more than two buffers
  const auto refused = front::append(to, large, 1);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == errc::exhausted);
  CHECK(world.pool->lent() == 0);
  CHECK(to.next_number() == batch_number{1});
  sealed_run run;
  CHECK_FALSE(to.collect(run));
  const auto taken = front::append(to, payload_of(1, 3000), 1);
  REQUIRE(taken);
  CHECK(taken->header.number == batch_number{1});
}

TEST_CASE("an idle appender lets its buffer go and goes on with the partial block", "[appender]") {
  front world{4, 8192};
  auto to = world.make();
  const auto payload = payload_of(1, 5000);
  REQUIRE(front::append(to, payload, 1));
  CHECK_FALSE(to.release_idle()); // not collected yet
  sealed_run first;
  REQUIRE(to.collect(first));
  const auto before = image_of(first);
  first.clear();
  CHECK(to.release_idle());
  CHECK(world.pool->lent() == 0);
  REQUIRE(front::append(to, payload, 2));
  sealed_run second;
  REQUIRE(to.collect(second));
  REQUIRE(second.chunks.size() == 1);
  CHECK(second.chunks[0].file_begin == 4096);
  CHECK(second.begin == 5112);
  // What the group will rewrite of the block before is what was there.
  CHECK(std::equal(before.begin() + 4096, before.end(), second.chunks[0].buffer.data()));
}

TEST_CASE("the grant bounds what is taken", "[appender]") {
  front world{4};
  const auto payload = payload_of(1, 1000);
  SECTION("no segment ready yet") {
    world.start.grant = {log_state::open, 0, 0, 0};
    auto to = world.make();
    CHECK(front::append(to, payload, 1).error().code == errc::exhausted);
    to.set_grant({log_state::no_space, 0, 0, 0});
    CHECK(front::append(to, payload, 1).error().code == errc::read_only);
    to.set_grant({log_state::open, 0, 0, 32 * MiB});
    CHECK(front::append(to, payload, 1));
  }
  SECTION("allocated bytes used up") {
    auto to = world.make();
    to.set_grant({log_state::open, 0, 0, 1112 + 500});
    REQUIRE(front::append(to, payload, 1));
    CHECK(front::append(to, payload, 1).error().code == errc::exhausted);
    to.set_grant({log_state::open, 1, 2224, 0});
    CHECK(front::append(to, payload, 1));
  }
  SECTION("states that take nothing") {
    auto to = world.make();
    for (const auto state :
         {log_state::fenced, log_state::damaged, log_state::stalled, log_state::closed}) {
      to.set_grant({state, 0, 0, 32 * MiB});
      CHECK(front::append(to, payload, 1).error().code == errc::read_only);
    }
  }
}

TEST_CASE("a batch never spans segments; a roll makes two runs", "[appender]") {
  front world{800};
  auto to = world.make();
  const auto payload = payload_of(1, 15 * MiB);
  REQUIRE(front::append(to, payload, 10));
  REQUIRE(front::append(to, payload, 20));
  CHECK(front::append(to, payload, 30).error().code == errc::exhausted); // next not ready
  to.set_grant({log_state::open, 1, 32 * MiB, 32 * MiB});
  const auto third = front::append(to, payload, 30);
  REQUIRE(third);
  CHECK(third->position == 0);
  CHECK(third->segment == segment_id{batch_number{3}, 30});
  CHECK(third->header.has(batch_flag::starts_segment));
  CHECK(third->header.offset == byte_offset{30 * MiB});
  sealed_run run;
  REQUIRE(to.collect(run));
  CHECK(run.batches.size() == 2);
  REQUIRE(to.collect(run));
  CHECK(run.starts_segment);
  CHECK(run.batches.size() == 1);
  CHECK_FALSE(to.collect(run));
}

TEST_CASE("what is no batch is refused", "[appender]") {
  front world{300};
  auto to = world.make();
  CHECK(front::append(to, {}, 1).error().code == errc::invalid_request);
  CHECK(front::append(to, payload_of(1, max_payload_bytes + 1), 1).error().code == errc::too_large);
  CHECK(front::append(to, payload_of(1, max_payload_bytes), 1));
  append_request control;
  control.flags = batch_flag::control;
  const auto sealed = to.append(control);
  REQUIRE(sealed);
  CHECK(sealed->header.end_offset() == sealed->header.offset);
  control.record_count = 1;
  CHECK(to.append(control).error().code == errc::invalid_request);
}

TEST_CASE("another node's batches make the same bytes", "[appender]") {
  front leader{8, 4096};
  front follower{8, 8192};
  auto from = leader.make();
  auto to = follower.make();
  for (std::size_t i = 0; i < 5; ++i)
    REQUIRE(front::append(from, payload_of(i, 1000 + i * 100), 1000 - i));
  sealed_run run;
  REQUIRE(from.collect(run));
  const auto image = image_of(run);
  for (const auto& batch : run.batches) {
    const auto bytes = byte_view{image}.subspan(batch.position, batch.header.image_bytes());
    const std::array pieces{bytes.subspan(batch_header_bytes)};
    const auto header = bytes.first(batch_header_bytes);
    const auto copied = to.append_copy(header, pieces);
    REQUIRE(copied);
    CHECK(copied->header == batch.header);
    CHECK(to.append_copy(header, pieces).error().code == errc::bad_format); // does not follow
  }
  sealed_run copy;
  REQUIRE(to.collect(copy));
  CHECK(image_of(copy) == image);
  CHECK(copy.segment == run.segment);
  // And the follower's own batches go on behind them.
  const auto own = front::append(to, payload_of(9, 10), 1);
  REQUIRE(own);
  CHECK(own->header.key > run.batches.back().header.key);
}

TEST_CASE("batches of idempotent producers are judged by what was appended and what was there",
          "[appender][producers]") {
  front world{8};
  world.start.producers.appended({5, 0, 4}, batch_number{1}, 0);
  world.start.next_number = batch_number{2};
  auto to = world.make();
  CHECK(to.judge({5, 0, 4}, 0).verdict == producer_verdict::duplicate);
  CHECK(to.judge({5, 0, 5}, 0).verdict == producer_verdict::fresh);
  append_request request;
  const auto payload = payload_of(1, 100);
  const std::array pieces{byte_view{payload}};
  request.payload = pieces;
  request.payload_crc = wire::checksum(request.payload_sum, payload);
  request.record_count = 1;
  request.producer_id = 5;
  request.producer_sequence = 5;
  const auto sealed = to.append(request);
  REQUIRE(sealed);
  CHECK(sealed->header.producer_id == 5);
  CHECK(sealed->header.producer_sequence == 5);
  CHECK(entry_of(*sealed).stamped);
  const auto judged = to.judge({5, 0, 5}, 0);
  CHECK(judged.verdict == producer_verdict::duplicate);
  CHECK(judged.newest == batch_number{2});
  CHECK(to.judge({5, 0, 7}, 0).verdict == producer_verdict::gap);
  // A log that takes nothing says so itself, to everybody.
  to.set_grant({log_state::fenced, 0, 0, 0});
  CHECK(to.judge({5, 0, 7}, 0).verdict == producer_verdict::fresh);
  CHECK(to.append(request).error().code == errc::read_only);
}

TEST_CASE("one producer more than the table holds has to wait until others were silent for a day",
          "[appender][producers]") {
  front world{8};
  for (std::uint64_t each = 1; each <= producer_table::rows_max; ++each)
    world.start.producers.appended({each, 0, 1}, batch_number{each}, each == 1 ? 0 : 1000);
  world.start.next_number = batch_number{20'000};
  auto to = world.make();
  constexpr auto day = producer_table::keep_ns;
  CHECK(to.judge({20'000, 0, 1}, day).verdict == producer_verdict::no_room);
  CHECK(to.judge({1, 0, 2}, day).verdict == producer_verdict::fresh);
  CHECK(to.judge({20'000, 0, 1}, day + 1).verdict == producer_verdict::fresh);
  CHECK(to.judge({1, 0, 2}, day + 1).verdict == producer_verdict::unknown);
}
