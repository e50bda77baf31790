// Two nodes with one log: the leader's batches are copied as they are, leaders change, power goes,
// tails that were not committed are cut. One seed makes one history. Whatever happens, what both
// have is the same, down to the bytes of the segment files.
#include <random>
#include <string>

#include <catch2/catch.hpp>

#include "bench_of_log.hpp"
#include "sim_disk.hpp"
#include "storage/cut_log.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

const std::string directory = "data/segments/t/0";

struct replica {
  explicit replica(std::uint64_t seed)
      : door(seed), bench(door, {}, [this] { return door.step(); }) {
    REQUIRE(bench.open());
  }

  std::uint64_t end() { return bench.log().durable_next().value; }
  term term_at(std::uint64_t number) {
    const auto found = bench.log().find_number(batch_number{number});
    REQUIRE(found);
    return found->entry.in_term;
  }
  void lose_power() {
    bench.stop();
    door.crash();
    REQUIRE(bench.open());
    REQUIRE_FALSE(bench.log().recovered().damaged);
  }
  void stop() {
    bench.stop();
    door.kill();
  }
  // What the segment's file has of whole batches.
  std::vector<std::byte> bytes_of(const segment_facts& facts) {
    const auto names = door.list(directory);
    for (const auto& name : *names) {
      const auto known = layout::parse(name);
      if (known.kind != layout::file_kind::index && known.segment == facts.id) {
        std::vector<std::byte> bytes(facts.file_bytes);
        const auto data = door.open(layout::join(directory, name), {.read_only = true});
        REQUIRE((*data)->read_now(0, bytes) == bytes.size());
        return bytes;
      }
    }
    FAIL("a segment has no file");
    return {};
  }

  sim_disk door;
  log_bench bench;
};

// Copies up to `most` durable batches that `to` has not. Returns how many.
std::size_t copy(replica& from, replica& to, std::size_t most) {
  std::vector<std::byte> room(64 * KiB);
  sync_read read;
  read.shape = read_shape::image;
  read.start_number = to.bench.front().next_number();
  if (read.start_number->value >= from.end())
    return 0;
  read.into = room;
  (void)from.bench.read(read, read.done);
  REQUIRE(read.outcome);
  auto rest = byte_view{room}.first(read.outcome->bytes);
  std::size_t copied = 0;
  while (!rest.empty() && copied < most) {
    const auto header = decode(rest);
    REQUIRE(header);
    const auto payload = rest.subspan(batch_header_bytes, header->payload_length);
    const std::array pieces{payload.first(payload.size() / 2), payload.subspan(payload.size() / 2)};
    const auto encoded = rest.first(batch_header_bytes);
    auto sealed = to.bench.front().append_copy(encoded, pieces);
    for (int tries = 0; !sealed && tries < 100; ++tries) {
      REQUIRE(sealed.error().code == errc::exhausted);
      to.bench.settle();
      to.bench.front().release_idle();
      to.bench.cache().shrink_to(0);
      sealed = to.bench.front().append_copy(encoded, pieces);
    }
    REQUIRE(sealed);
    rest = rest.subspan(header->image_bytes());
    ++copied;
  }
  return copied;
}

// The same segments, and the same bytes in them as far as both have batches.
void check_same(replica& a, replica& b) {
  auto& one = a.bench.log();
  auto& other = b.bench.log();
  const auto segments = std::min(one.segment_count(), other.segment_count());
  for (std::size_t at = 0; at < segments; ++at) {
    const auto& first = one.segment_at(at);
    const auto& second = other.segment_at(at);
    REQUIRE(first.id == second.id);
    auto left = a.bytes_of(first);
    auto right = b.bytes_of(second);
    const auto both = std::min(left.size(), right.size());
    left.resize(both);
    right.resize(both);
    REQUIRE(left == right);
  }
}

class history {
 public:
  explicit history(std::uint64_t seed)
      : random_(seed), nodes_{replica{seed * 2 + 1}, replica{seed * 2 + 2}} {
    elect(0);
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i)
      act();
    elect(leader_);
    settle();
    REQUIRE(leads().end() == follows().end());
    check_same(nodes_[0], nodes_[1]);
    REQUIRE(committed_ > 10); // or nothing was shown
    REQUIRE(cuts > 0);
  }

  unsigned cuts = 0; // that took batches away

 private:
  replica& leads() { return nodes_[leader_]; }
  replica& follows() { return nodes_[1 - leader_]; }

  void act() {
    const auto dice = random_() % 100;
    for (auto& each : nodes_)
      each.bench.clock.advance_ns(random_() % 1'000'000);
    if (dice < 45)
      append(false);
    else if (dice < 55)
      write_some(leads());
    else if (dice < 60)
      leads().bench.settle();
    else if (dice < 78)
      copy(leads(), follows(), 1 + random_() % 4);
    else if (dice < 82)
      write_some(follows());
    else if (dice < 84)
      follows().bench.settle();
    else if (dice < 88)
      end_segment();
    else if (dice < 92)
      lose_power();
    else if (dice < 95)
      elect(1 - leader_);
    note_committed();
  }

  // Some of it is under way when the power goes.
  void write_some(replica& who) {
    who.bench.turn();
    for (auto steps = random_() % 4; steps > 0; --steps)
      who.bench.drive();
  }

  void append(bool control) {
    append_request request;
    const auto payload = payload_of(random_(), control ? 2 : 1 + random_() % 5000);
    const std::array pieces{byte_view{payload}};
    request.payload = pieces;
    request.payload_crc = wire::checksum(request.payload_sum, payload);
    request.flags = control ? batch_flag::control : std::uint16_t{0};
    request.record_count = control ? 0 : 1;
    request.wall_ns = leads().bench.clock.wall_ns();
    auto sealed = leads().bench.front().append(request);
    if (sealed)
      return;
    REQUIRE(sealed.error().code == errc::exhausted);
    leads().bench.settle();
    leads().bench.front().release_idle();
    leads().bench.cache().shrink_to(0);
  }

  void end_segment() {
    leads().bench.settle();
    if (leads().bench.log().has_active())
      leads().bench.end_segment();
  }

  // On both, for good.
  void note_committed() {
    const auto both = std::min(leads().end(), follows().end());
    REQUIRE(both >= committed_);
    committed_ = both;
  }

  void lose_power() {
    const auto who = random_() % 2;
    nodes_[who].lose_power();
    REQUIRE(nodes_[who].end() >= committed_);
    elect(random_() % 2);
  }

  // Either may lead, as both have what is committed. The other drops what the leader has not.
  void elect(std::size_t who) {
    for (auto& each : nodes_)
      if (random_() % 2 == 0)
        each.bench.settle();
    leader_ = who;
    leads().stop();
    REQUIRE(leads().bench.open());
    follow();
    term_ = term{term_.value + 1};
    leads().bench.front().set_term(term_);
    append(true);
    leads().bench.settle();
  }

  void follow() {
    follows().stop();
    REQUIRE(follows().bench.open());
    const auto end = std::min(leads().end(), follows().end());
    std::uint64_t same = committed_;
    while (same < end && leads().term_at(same) == follows().term_at(same))
      ++same;
    cuts += same < follows().end() ? 1 : 0;
    follows().stop();
    const auto cut = cut_log(follows().door, directory,
                             {log_id{7}, batch_number{same}, batch_number{committed_}, {}});
    REQUIRE(cut);
    if (random_() % 2 == 0)
      follows().door.crash();
    REQUIRE(follows().bench.open());
    REQUIRE(follows().end() == same);
    check_same(leads(), follows());
  }

  void settle() {
    leads().bench.settle();
    while (copy(leads(), follows(), 64) > 0)
      follows().bench.settle();
  }

  std::mt19937_64 random_;
  std::array<replica, 2> nodes_;
  std::size_t leader_ = 0;
  term term_{0};
  std::uint64_t committed_ = 1;
};

} // namespace

TEST_CASE("two replicas are the same bytes, through crashes and changes of leader", "[replica]") {
  // Under ThreadSanitizer a history takes a second. LANCE_SEEDS runs more of them.
  const char* wanted = std::getenv("LANCE_SEEDS");
  const auto seeds = wanted != nullptr ? std::stoull(wanted) : 25;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    INFO("seed " << seed);
    history{seed}.run(400);
  }
}

TEST_CASE("a replica that begins at the leader's start is the same bytes from there", "[replica]") {
  replica leader{1};
  replica away{2};
  leader.bench.append_durably(3, 1000);
  while (copy(leader, away, 64) > 0)
    away.bench.settle();
  for (int segment = 0; segment < 3; ++segment) {
    leader.bench.append_durably(4, 3000);
    leader.bench.end_segment();
  }
  leader.bench.append_durably(2, 3000);
  REQUIRE(leader.bench.log().drop_segments_before(batch_number{10}));
  auto& log = leader.bench.log();
  REQUIRE(log.start_number().value > away.end());
  away.stop();
  REQUIRE(begin_log_at(
      away.door, directory,
      {log_id{7}, log.start_number(), log.start_offset(), log.start_record(), term{0}, {}, 0}));
  away.door.crash();
  REQUIRE(away.bench.open());
  while (copy(leader, away, 3) > 0)
    away.bench.settle();
  CHECK(away.end() == leader.end());
  CHECK(away.bench.log().start_number() == log.start_number());
  CHECK(away.bench.log().segment_count() == log.segment_count());
  check_same(leader, away);
  away.stop();
  away.lose_power();
  check_same(leader, away);
}
