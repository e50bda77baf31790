// What one follower gets: the bounds of its window, of one append, and the way back to the fast
// path.
#include "cluster/replicator.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::cluster;

namespace {

constexpr node_id leader{1};
constexpr node_id other{2};

// A leader of term 1 with one follower that has everything, and whatever it is sent.
struct bench {
  explicit bench(const raft_options& how) : chosen(how), feeding(log_id{1}, leader, chosen) {
    feeding.begin(term{1}, own, now_ns);
    tick();
    answer(batch_number{1});
  }
  void append_one(std::uint64_t bytes) {
    const auto from = own.terms.end();
    own.terms.append(batch_number{from.value + 1}, term{1});
    feeding.appended(from, own.terms.end(), bytes);
    out.clear();
    feeding.pump(own, now_ns, out);
  }
  void sync() {
    own.durable_end = own.terms.end();
    out.clear();
    feeding.pump(own, now_ns, out);
  }
  void tick() {
    out.clear();
    feeding.tick(own, now_ns, out);
  }
  void answer(batch_number end) {
    out.clear();
    feeding.received(other, {view().sequence, true, end, end, {}, 0}, own, now_ns, out);
  }
  [[nodiscard]] const follower_view& view() const { return feeding.followers().at(0); }
  [[nodiscard]] std::size_t appends() const { return out.send.size(); }

  raft_options chosen;
  replica_log own{log_terms{}, membership_history{{batch_number{0}, {{leader, other}, {}}}},
                  batch_number{1}, batch_number{1}, 0};
  replicator feeding;
  raft_output out;
  std::uint64_t now_ns = s_in_ns;
};

} // namespace

TEST_CASE("the window is bounded in appends and in bytes") {
  raft_options chosen;
  chosen.window_appends = 4;
  chosen.window_bytes = 1000;
  bench few{chosen};
  for (int i = 0; i < 10; ++i)
    few.append_one(10);
  CHECK(few.view().window.size() == 4);
  CHECK(few.view().next == batch_number{5});
  few.answer(batch_number{2}); // one is through: the rest goes in one append
  CHECK(few.appends() == 1);
  CHECK(few.view().next == batch_number{11});

  bench large{chosen};
  for (int i = 0; i < 10; ++i)
    large.append_one(400);
  CHECK(large.view().window_bytes == 800);
  large.answer(batch_number{3});
  CHECK(large.view().window_bytes <= 1000);

  bench huge{chosen}; // what is larger than the window goes alone
  huge.append_one(5000);
  huge.append_one(5000);
  CHECK(huge.view().window_bytes == 5000);
}

TEST_CASE("runs share an append up to its size") {
  raft_options chosen;
  chosen.window_appends = 1;
  chosen.append_bytes = 100;
  bench one{chosen};
  one.append_one(10);
  for (int i = 0; i < 5; ++i)
    one.append_one(40);
  one.answer(batch_number{2});
  REQUIRE(one.appends() == 1);
  CHECK(std::get<append>(one.out.send[0].body).end == batch_number{4}); // two of 40
}

TEST_CASE("who is behind the tail is fed from segments, durable batches only") {
  raft_options chosen;
  chosen.window_appends = 1;
  chosen.tail_runs = 3;
  bench one{chosen};
  for (int i = 0; i < 10; ++i)
    one.append_one(10);
  one.answer(batch_number{2});
  CHECK(one.view().how == feed::catching_up);
  CHECK(one.out.fetch.empty()); // nothing is durable here
  one.sync();
  REQUIRE(one.out.fetch.size() == 1);
  CHECK(one.out.fetch[0].from == batch_number{2});
  one.sync();
  CHECK(one.out.fetch.empty()); // one at a time
  one.out.clear();
  one.feeding.fetched(other, batch_number{2}, batch_number{9}, 70, true, one.own, one.now_ns,
                      one.out);
  REQUIRE(one.appends() == 1);
  CHECK(std::get<append>(one.out.send[0].body).whole_file);
  CHECK(one.view().how == feed::streaming); // the rest is in the tail
  one.answer(batch_number{9});
  REQUIRE(one.appends() == 1);
  CHECK(std::get<append>(one.out.send[0].body).from == batch_number{9});
}

TEST_CASE("a fetch that failed is asked for again") {
  raft_options chosen;
  chosen.window_appends = 1;
  chosen.tail_runs = 1;
  bench one{chosen};
  for (int i = 0; i < 4; ++i)
    one.append_one(10);
  one.sync(); // the first is on its way, the next one is no more in the tail
  REQUIRE(one.out.fetch.size() == 1);
  one.feeding.fetch_failed(other);
  one.tick();
  CHECK(one.out.fetch.size() == 1);
}

TEST_CASE("what brings nothing back is lost after a time, and asked about without batches") {
  const raft_options chosen;
  bench one{chosen};
  one.append_one(10);
  CHECK(one.appends() == 1);
  one.now_ns += chosen.resend_ns - 1;
  one.tick();
  CHECK(one.view().how == feed::streaming);
  one.now_ns += 1;
  one.tick();
  REQUIRE(one.appends() == 1);
  CHECK(one.view().how == feed::probing);
  const auto& probe = std::get<append>(one.out.send[0].body);
  CHECK(probe.from == batch_number{1});
  CHECK(probe.end == batch_number{1});
}

TEST_CASE("a refusal of an append that was given up says nothing") {
  const raft_options chosen;
  bench one{chosen};
  one.append_one(10);
  one.append_one(10);
  const auto old = one.view().sequence;
  one.now_ns += chosen.resend_ns;
  one.tick(); // asks where it stands
  one.answer(batch_number{3});
  REQUIRE(one.view().how == feed::streaming);
  one.out.clear();
  one.feeding.received(other,
                       {old, false, batch_number{1}, batch_number{1}, {batch_number{1}, {}}, 0},
                       one.own, one.now_ns, one.out);
  CHECK(one.view().how == feed::streaming);
  CHECK(one.view().durable_end == batch_number{3});
  CHECK(one.view().next == batch_number{3});
}

TEST_CASE("an evicted follower keeps its vote, gets no window, and returns") {
  const raft_options chosen;
  bench one{chosen};
  for (int i = 0; i < 3; ++i)
    one.append_one(10);
  one.now_ns += chosen.evict_ns + 1;
  one.tick();
  REQUIRE(one.view().speed.evicted());
  REQUIRE(one.out.events.size() == 1);
  CHECK(one.out.events[0].what == follower_news::evicted);
  CHECK(one.view().window.empty());
  one.sync();
  CHECK(one.feeding.majority_durable(one.own) == batch_number{1}); // both of two, always
  one.answer(batch_number{4});
  CHECK(one.feeding.majority_durable(one.own) == batch_number{4});
  for (int i = 0; i < 10; ++i) {
    REQUIRE(one.view().speed.evicted());
    one.append_one(10);
    CHECK(one.appends() == 0);
    one.sync();
    REQUIRE(one.out.fetch.size() == 1);
    const auto from = one.out.fetch[0].from;
    one.out.clear();
    one.feeding.fetched(other, from, one.own.terms.end(), 10, false, one.own, one.now_ns, one.out);
    one.answer(one.own.terms.end());
  }
  CHECK_FALSE(one.view().speed.evicted());
  one.append_one(10);
  CHECK(one.appends() == 1);
}
