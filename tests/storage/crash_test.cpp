// Random appends, crashes and recoveries over the simulated disk. One seed makes one history; what
// was acknowledged must be there afterwards, unaltered and at its old place.
#include <map>

#include <catch2/catch.hpp>

#include "bench_of_log.hpp"
#include "sim_disk.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

class history {
 public:
  explicit history(std::uint64_t seed)
      : random_(seed), large_(seed % 4 == 0), door_(seed * 31 + 1),
        bench_(door_, shape(seed), [this] { return door_.step(); }) {
    bench_.environment().recycled = &budget_;
    REQUIRE(bench_.open());
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i)
      act();
    crash();
    REQUIRE(next_ > 10); // or nothing was shown
    REQUIRE((!large_ || dropped_to_ > 0 || bench_.log().segment_count() > 1));
  }

 private:
  static setup shape(std::uint64_t seed) {
    setup how;
    how.pool_buffers = 300;
    how.buffer_bytes = seed % 2 == 0 ? 128 * KiB : 16 * KiB;
    how.chosen.preallocate_bytes = seed % 3 == 0 ? 1 * MiB : 0;
    how.chosen.tail_cache_bytes = seed % 5 == 0 ? 0 : 256 * KiB;
    how.chosen.index_group_entries = 4;
    return how;
  }

  void act() {
    const auto dice = random_() % 1000;
    bench_.clock.advance_ns(random_() % 1'000'000);
    if (dice < 500)
      append();
    else if (dice < 700)
      hand_over();
    else if (dice < 900)
      door_.step();
    else if (dice < 960)
      bench_.tick();
    else if (dice < 970)
      bench_.front().release_idle();
    else if (dice < 974)
      fault();
    else if (dice < 978)
      end_segment();
    else if (dice < 981)
      drop();
    else if (dice < 985)
      crash();
    else if (dice < 990)
      restart();
    note_acknowledged();
  }

  void append() {
    const auto size =
        large_ && random_() % 3 == 0 ? 1 + random_() % (5 * MiB) : 1 + random_() % 6000;
    const auto sealed = bench_.append_next(size);
    if (sealed)
      appended_[sealed->header.number.value] = sealed->header;
    else
      bench_.cache().shrink_to(0);
  }

  void hand_over() { bench_.turn(); }

  void end_segment() {
    const auto ended = bench_.front().end_segment();
    bench_.turn();
    if (ended)
      bench_.log().end_segment(*ended);
  }

  // Retention takes what is closed, up to somewhere.
  void drop() {
    const auto start = bench_.log().start_number().value;
    const auto bound = start + random_() % (bench_.log().durable_next().value - start + 1);
    dropped_to_ = std::max(dropped_to_, bound);
    (void)bench_.log().drop_segments_before(batch_number{bound});
  }

  void fault() {
    const auto kind = random_() % 3;
    door_.faults.error = random_() % 2 == 0 ? EIO : ENOSPC;
    if (kind == 0)
      door_.faults.write_in = static_cast<unsigned>(random_() % 3);
    else if (kind == 1)
      door_.faults.flush_in = static_cast<unsigned>(random_() % 3);
  }

  void note_acknowledged() {
    for (; next_ < bench_.log().durable_next().value; ++next_)
      acknowledged_[next_] = appended_.at(next_);
  }

  void crash() {
    bench_.stop();
    door_.faults = {};
    door_.crash();
    come_back();
  }

  void restart() {
    bench_.stop();
    door_.faults = {};
    door_.kill();
    come_back();
  }

  void come_back() {
    REQUIRE(bench_.open());
    if (bench_.log().state() == log_state::fenced)
      lift_fence();
    REQUIRE(bench_.log().state() == log_state::open);
    REQUIRE(bench_.log().durable_next().value >= next_);
    // What was there without an acknowledgement is there from now on.
    note_acknowledged();
    appended_.erase(appended_.lower_bound(next_), appended_.end());
    const auto start = bench_.log().start_number().value;
    REQUIRE(start <= std::max<std::uint64_t>(dropped_to_, 1));
    acknowledged_.erase(acknowledged_.begin(), acknowledged_.lower_bound(start));
    for (const auto& [number, header] : acknowledged_) {
      const auto found = bench_.log().find_number(batch_number{number});
      REQUIRE(found);
      REQUIRE(found->entry.offset == header.offset);
      REQUIRE(found->entry.first_record == header.first_record);
      REQUIRE(found->entry.header_crc == header.header_crc);
    }
    // Payloads: the newest, and some older ones.
    const auto end = next_;
    const auto begin = std::max(start, end > 20 ? end - 20 : std::uint64_t{1});
    for (auto number = begin; number < end; ++number)
      verify_payload(number);
    for (int i = 0; i < 5 && end > start; ++i)
      verify_payload(start + random_() % (end - start));
  }

  // The failed write or flush is remembered: nothing is taken, and what was acknowledged is read
  // and no more (or, when the note was torn, all that is whole), until the operator says so.
  void lift_fence() {
    const bool torn = bench_.log().recovered().fenced->durable_next.value == 0;
    const auto end = bench_.log().durable_next().value;
    REQUIRE((torn ? end >= next_ : end == next_));
    REQUIRE(bench_.append_next(10).error().code == errc::read_only);
    ++fences_;
    bench_.stop();
    door_.kill();
    bench_.lift_fence(true);
    REQUIRE(bench_.open());
    bench_.lift_fence(false);
  }

  void verify_payload(std::uint64_t number) {
    const auto& header = acknowledged_.at(number);
    const auto got = bench_.read_bytes(header.offset.value, header.payload_length);
    REQUIRE(got);
    REQUIRE(*got == payload_of(number, header.payload_length));
  }

  std::mt19937_64 random_;
  bool large_; // batches of megabytes, so that segments roll
  recycle_budget budget_{1 * GiB};
  sim_disk door_;
  log_bench bench_;
  std::map<std::uint64_t, batch_header> appended_;
  std::map<std::uint64_t, batch_header> acknowledged_;
  std::uint64_t next_ = 1;
  std::uint64_t dropped_to_ = 0; // batches below may be gone
  unsigned fences_ = 0;          // lifted

 public:
  [[nodiscard]] unsigned fences() const noexcept { return fences_; }
};

} // namespace

TEST_CASE("no acknowledged batch is lost, altered or moved by crashes", "[crash]") {
  const auto base = Catch::rngSeed() == 0 ? 1 : Catch::rngSeed();
  unsigned fences = 0;
  for (std::uint64_t i = 0; i < 16; ++i) {
    const auto seed = base + i;
    INFO("seed " << seed << " (replay: --rng-seed " << seed << ")");
    history one{seed};
    one.run(600);
    fences += one.fences();
  }
  CHECK(fences > 0); // some histories had a write or flush fail for good
}
