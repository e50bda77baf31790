// One replica on a simulated disk, given messages by hand. What happens between replicas, and when
// disks die in the middle of it, is the simulated cluster's (tests/sim).
#include "cluster/replica.hpp"

#include <string>

#include <catch2/catch.hpp>

#include "cluster/control_entry.hpp"
#include "runtime/clock.hpp"
#include "storage/cut_log.hpp"
#include "storage/data_dir.hpp"
#include "storage/layout.hpp"
#include "tests/sim/sim_disk.hpp"

using namespace lance;
using namespace lance::cluster;

namespace {

const std::string directory = "data/segments/t/0";
const membership alone{{node_id{1}}, {}};
const membership both{{node_id{1}, node_id{2}}, {}};

struct sent_message {
  message what;
  std::vector<std::byte> beside;
};

// The node around a replica: ingestion, transport, votes.
class bench final : public storage::log_owner, public replica_owner {
 public:
  explicit bench(membership created) : created_(std::move(created)) {
    environment.door = &door;
    environment.cache = &cache;
    environment.clock = &clock;
    environment.owner = this;
    environment.quarantine = "data/quarantine";
    environment.chosen.payload_bytes_max = 64 * KiB;
    environment.chosen.segment_bytes = 128 * KiB;
    environment.chosen.allocate_bytes = 160 * KiB;
    environment.chosen.preallocate_bytes = 0;
    environment.chosen.tail_cache_bytes = 64 * KiB;
    policy.log = log_id{7};
    policy.directory = directory;
    chosen.append_bytes = 8 * KiB;
    pool =
        *runtime::buffer_pool::make({.count = 64, .buffer_bytes = 16 * KiB, .huge_pages = false});
    read_pool = *runtime::buffer_pool::make(
        {.count = environment.chosen.read_depth, .buffer_bytes = 64 * KiB, .huge_pages = false});
    reader = std::make_unique<storage::reader>(*read_pool, environment.chosen);
  }
  ~bench() { stop(); }

  void start() {
    auto found = open_replica(environment, policy, identity());
    REQUIRE(found);
    REQUIRE(made_of(std::move(*found)));
  }
  replica_identity identity() const { return {node_id{1}, created_, promised, votes_sound}; }
  bool made_of(opened_replica found) {
    const replica_places places{&environment, pool.get(), reader.get(), chosen, node_id{1}, 0};
    one = std::make_unique<replica>(places, policy, identity(), std::move(found), *this, now());
    return true;
  }
  void stop() {
    door.cancel_reads();
    one.reset();
    ingestion.reset();
  }
  void lose_power() {
    stop();
    door.crash();
  }

  moment now() const { return {clock.steady_ns(), 0}; }
  // Until nothing is under way.
  void settle() {
    for (int i = 0; i < 10'000; ++i) {
      woken = false;
      one->settle(now());
      if (!door.step() && !woken)
        return;
    }
    FAIL("it never settles");
  }
  void pass(std::uint64_t ns) {
    clock.advance_ns(ns);
    one->tick(now());
    settle();
  }
  // An election of one's own, alone.
  void lead() {
    for (int i = 0; i < 3 && one->core().now() != role::leader; ++i)
      pass(2 * chosen.election_ns);
    REQUIRE(one->core().now() == role::leader);
    REQUIRE(ingestion);
  }
  void append(std::size_t bytes) {
    const std::vector<std::byte> payload(bytes, std::byte{'x'});
    const byte_view piece{payload};
    storage::append_request request;
    request.payload = {&piece, 1};
    request.payload_crc = wire::checksum(request.payload_sum, payload);
    request.record_count = 1;
    request.wall_ns = clock.wall_ns();
    clock.advance_ns(1000);
    for (int tries = 0; !ingestion->append(request); ++tries) {
      REQUIRE(tries < 100);
      collect();
      settle();
      (void)ingestion->release_idle();
      cache.shrink_to(0);
    }
    collect();
    settle();
  }
  void collect() {
    while (ingestion->collect(run))
      one->submit(now(), leads_in, run);
  }
  void receive(decltype(message::body) body, std::uint64_t in_term,
               std::vector<std::byte> beside = {}) {
    one->receive(now(), {log_id{7}, node_id{2}, node_id{1}, term{in_term}, std::move(body)},
                 std::move(beside));
    settle();
  }
  template <class Body>
  const Body* last() const {
    for (auto at = outbox.rbegin(); at != outbox.rend(); ++at)
      if (const auto* body = std::get_if<Body>(&at->what.body))
        return body;
    return nullptr;
  }

  // replica_owner
  void persist(replica& who, const vote_record& row) override {
    ++persists;
    if (hold_votes)
      return;
    if (!fail_votes)
      promised = row;
    who.persisted(fail_votes ? fail(errc::io_failed, EIO) : result<>{});
  }
  void send(replica&, const message& what, std::span<const byte_view> beside) override {
    sent_message made{what, {}};
    for (const auto& piece : beside)
      made.beside.insert(made.beside.end(), piece.begin(), piece.end());
    outbox.push_back(std::move(made));
  }
  void lead(replica&, const storage::append_start& start, term in_term) override {
    ingestion = std::make_unique<storage::appender>(start, environment.chosen, *pool,
                                                    storage::stamp_identity{node_id{1}, 1});
    ingestion->set_term(in_term);
    leads_in = in_term;
  }
  void append_control(replica&, byte_view payload) override {
    control.assign(payload.begin(), payload.end());
  }
  void granted(replica&, const storage::append_grant& grant) override {
    if (ingestion)
      ingestion->set_grant(grant);
  }
  void follow(replica&) override { ingestion.reset(); }
  void told(replica&, const raft_output& out) override { committed = out.committed_end; }
  bool let_go(replica&, storage::log&) override { return !hold_log; }
  void opened(replica&) override { ++openings; }
  void wake(replica&) override { woken = true; }
  void log_changed(storage::log&) override { woken = true; }

  sim::sim_disk door;
  runtime::manual_clock clock;
  storage::tail_cache cache{64 * KiB};
  storage::log_environment environment;
  storage::log_policy policy;
  raft_options chosen;
  std::unique_ptr<runtime::buffer_pool> pool;
  std::unique_ptr<runtime::buffer_pool> read_pool;
  std::unique_ptr<storage::reader> reader;
  std::unique_ptr<storage::appender> ingestion;
  std::unique_ptr<replica> one;
  storage::sealed_run run;
  term leads_in;
  std::optional<vote_record> promised;
  std::vector<sent_message> outbox;
  std::vector<std::byte> control;
  batch_number committed;
  bool votes_sound = true;
  bool hold_votes = false;
  bool fail_votes = false;
  bool hold_log = false;
  bool woken = false;
  int persists = 0;
  int openings = 0;

 private:
  membership created_;
};

// A leader's batches, made by another log.
struct other_leader {
  other_leader() : node(alone) {
    node.start();
    node.lead();
  }
  // Batches [from, end) as a message has them.
  std::pair<append, std::vector<std::byte>> batches(std::uint64_t from, std::uint64_t end,
                                                    std::uint64_t sequence = 1) {
    replica_feed feed{*node.reader, [](void*) {}, nullptr};
    std::vector<byte_view> pieces;
    REQUIRE(
        feed.gather(*node.one->log(), node_id{1}, batch_number{from}, batch_number{end}, pieces));
    std::vector<std::byte> bytes;
    for (const auto& piece : pieces)
      bytes.insert(bytes.end(), piece.begin(), piece.end());
    const auto& terms = node.one->core().log().terms;
    append body;
    body.sequence = sequence;
    body.from = batch_number{from};
    body.end = batch_number{end};
    body.previous_term = terms.before(body.from);
    body.runs = terms.runs(body.from, body.end);
    return {body, bytes};
  }
  bench node;
};

} // namespace

TEST_CASE("alone, it leads, commits what is durable, and starts again where it was") {
  bench here{alone};
  here.start();
  here.lead();
  CHECK(here.persists == 1);
  here.append(1000);
  here.append(2000);
  CHECK(here.committed == batch_number{4}); // the term's own batch, and two
  CHECK(here.one->core().log().durable_end == batch_number{4});
  here.lose_power();
  here.start();
  CHECK(here.one->core().log().terms.end() == batch_number{4});
  CHECK(here.one->core().current_term() == here.promised->current);
  here.lead();
  here.append(10);
  CHECK(here.one->core().log().terms.runs(batch_number{1}, batch_number{6}).size() == 2);
  CHECK(here.committed == batch_number{6});
  CHECK(here.one->settled());
  CHECK(here.one->idle());
}

TEST_CASE("nothing is said before the vote is written down") {
  bench here{both};
  here.start();
  here.hold_votes = true;
  here.receive(vote_request{false, false, {batch_number{1}, term{}}}, 5);
  CHECK(here.persists == 1);
  CHECK(here.last<vote_reply>() == nullptr);
  CHECK_FALSE(here.one->settled());
  here.receive(vote_request{false, false, {batch_number{1}, term{}}}, 5); // waits
  CHECK(here.one->transfer(here.now(), node_id{2}).error().code == errc::throttled);
  here.one->persisted({});
  here.settle();
  REQUIRE(here.last<vote_reply>() != nullptr);
  CHECK(here.last<vote_reply>()->granted);
  CHECK(here.outbox.size() == 2);
}

TEST_CASE("who cannot write votes down takes part no more") {
  bench here{both};
  here.start();
  here.fail_votes = true;
  here.receive(vote_request{false, false, {batch_number{1}, term{}}}, 5);
  CHECK(here.last<vote_reply>() == nullptr);
  CHECK(here.one->counts().started_over == 1);
  here.settle();
  REQUIRE(here.one->settled());
  here.fail_votes = false;
  here.receive(vote_request{false, false, {batch_number{1}, term{}}}, 6);
  CHECK((here.last<vote_reply>() == nullptr || !here.last<vote_reply>()->granted));
}

TEST_CASE("messages that wait are bounded") {
  bench here{both};
  here.start();
  here.hold_votes = true;
  here.receive(vote_request{false, false, {batch_number{1}, term{}}}, 5);
  for (std::size_t i = 0; i < replica::waiting_max + 7; ++i)
    here.receive(beat{batch_number{1}, i}, 5);
  CHECK(here.one->counts().messages_dropped == 7);
  here.one->persisted({});
  here.settle();
  CHECK(here.one->settled());
}

TEST_CASE("a follower's files are the leader's") {
  other_leader leader;
  leader.node.append(3000);
  leader.node.append(50'000);
  bench here{both};
  here.start();
  const auto [body, bytes] = leader.batches(1, 4);
  here.receive(body, 9, bytes);
  REQUIRE(here.last<append_reply>() != nullptr);
  CHECK(here.last<append_reply>()->durable_end == batch_number{4});
  const auto& facts = here.one->log()->segment_at(0);
  const auto& theirs = leader.node.one->log()->segment_at(0);
  REQUIRE(facts.id == theirs.id);
  REQUIRE(facts.file_bytes == theirs.file_bytes);
  const auto name = directory + '/' + storage::layout::active_name(facts.id);
  auto ours = here.door.content(name);
  auto other = leader.node.door.content(name);
  ours.resize(facts.file_bytes);
  other.resize(facts.file_bytes);
  CHECK(ours == other);
}

TEST_CASE("batches that do not verify are refused, and counted") {
  other_leader leader;
  leader.node.append(3000);
  bench here{both};
  here.start();
  auto [body, bytes] = leader.batches(1, 3);
  bytes.back() ^= std::byte{1};
  here.receive(body, 9, bytes);
  CHECK(here.one->counts().messages_refused == 1);
  CHECK(here.last<append_reply>() == nullptr);
  CHECK(here.one->core().current_term() == term{0}); // it was not heard at all
  bytes.back() ^= std::byte{1};
  here.receive(body, 9, bytes);
  CHECK(here.last<append_reply>()->durable_end == batch_number{3});
}

TEST_CASE("a batch that cannot stand there ends the core, not the process") {
  other_leader leader;
  leader.node.append(3000);
  leader.node.append(3000);
  other_leader stranger; // the same numbers and terms, other bytes: no raft makes that
  stranger.node.append(500);
  stranger.node.append(500);
  bench here{both};
  here.start();
  const auto [first, bytes] = leader.batches(1, 3);
  here.receive(first, 9, bytes);
  const auto [second, others] = stranger.batches(3, 4, 2);
  here.receive(second, 9, others);
  CHECK(here.one->counts().started_over == 1);
  here.settle();
  REQUIRE(here.one->settled());
  CHECK(here.one->core().log().terms.end() == batch_number{3});
  const auto [right, rest] = leader.batches(3, 4, 3);
  here.receive(right, 9, rest);
  CHECK(here.last<append_reply>()->durable_end == batch_number{4});
}

TEST_CASE("a tail that the leader has not is cut, with what was written down of it") {
  other_leader leader;
  leader.node.append(100);
  bench here{both};
  here.start();
  // Terms 3 and 4 of a leader that is no more.
  bench gone{alone};
  gone.promised = vote_record{log_id{7}, term{2}, std::nullopt};
  gone.start();
  gone.lead();
  for (int i = 0; i < 5; ++i)
    gone.append(700);
  other_leader past;
  past.node.stop();
  {
    replica_feed feed{*gone.reader, [](void*) {}, nullptr};
    std::vector<byte_view> pieces;
    REQUIRE(feed.gather(*gone.one->log(), node_id{1}, batch_number{1}, batch_number{7}, pieces));
    std::vector<std::byte> bytes;
    for (const auto& piece : pieces)
      bytes.insert(bytes.end(), piece.begin(), piece.end());
    append body;
    body.sequence = 1;
    body.from = batch_number{1};
    body.end = batch_number{7};
    body.runs = gone.one->core().log().terms.runs(body.from, body.end);
    here.receive(body, 3, bytes);
    REQUIRE(here.last<append_reply>()->durable_end == batch_number{7});
  }
  REQUIRE(write_replica_state(here.door, directory,
                              state_of(log_id{7}, here.one->core().log(), batch_number{1})));
  const auto [body, bytes] = leader.batches(1, 3);
  const auto openings = here.openings;
  here.receive(body, 9, bytes);
  CHECK(here.openings > openings);
  CHECK(here.last<append_reply>()->durable_end == batch_number{3});
  here.lose_power();
  here.start();
  CHECK(here.one->core().log().terms.runs(batch_number{1}, batch_number{3}) == body.runs);
}

TEST_CASE("a log waits for its readers before it is cut") {
  other_leader leader;
  bench here{both};
  here.start();
  bench gone{alone};
  gone.start();
  gone.lead();
  const auto [body, bytes] = leader.batches(1, 2);
  here.receive(body, 3, bytes);
  here.hold_log = true;
  other_leader next;
  next.node.append(10);
  auto [other, others] = next.batches(1, 3);
  // The same numbers in a later term.
  bench later{alone};
  later.promised = vote_record{log_id{7}, term{6}, std::nullopt};
  later.start();
  later.lead();
  later.append(10);
  replica_feed feed{*later.reader, [](void*) {}, nullptr};
  std::vector<byte_view> pieces;
  REQUIRE(feed.gather(*later.one->log(), node_id{1}, batch_number{1}, batch_number{3}, pieces));
  others.clear();
  for (const auto& piece : pieces)
    others.insert(others.end(), piece.begin(), piece.end());
  other.runs = later.one->core().log().terms.runs(batch_number{1}, batch_number{3});
  here.outbox.clear();
  here.receive(other, 7, others);
  CHECK(here.outbox.empty());
  CHECK_FALSE(here.one->settled());
  here.hold_log = false;
  here.settle();
  REQUIRE(here.last<append_reply>() != nullptr);
  CHECK(here.last<append_reply>()->durable_end == batch_number{3});
}

TEST_CASE("a new start brings offsets and producers along") {
  bench leader{alone};
  leader.start();
  leader.lead();
  for (int i = 0; i < 12; ++i)
    leader.append(40'000);
  leader.settle();
  leader.one->trim(leader.now(), batch_number{9});
  leader.settle();
  auto& log = *leader.one->log();
  const auto start = log.start_number();
  REQUIRE(start > batch_number{1});
  CHECK(leader.one->core().log().terms.start() == start);

  bench here{both};
  here.start();
  storage::log_start facts{log_id{7}, start, log.start_offset(), log.start_record(), term{1},
                           {},        0};
  storage::producer_table known;
  known.appended({77, 1, 5}, batch_number{2}, 1000);
  const auto encoded = storage::encode(facts);
  const auto producers = storage::encode_producers(log_id{7}, start, known);
  std::vector<std::byte> beside{encoded.begin(), encoded.end()};
  beside.insert(beside.end(), producers.begin(), producers.end());
  const rebase body{1, start, term{1}, {batch_number{0}, alone}};

  SECTION("whole") {
    here.receive(body, 9, beside);
    REQUIRE(here.last<append_reply>() != nullptr);
    CHECK(here.one->log()->start_number() == start);
    CHECK(here.one->log()->durable_end() == log.start_offset());
    CHECK(here.one->log()->producers().find(77));
    CHECK(here.one->core().members() == alone);
    here.lose_power();
    here.start();
    CHECK(here.one->core().log().terms.start() == start);
    CHECK(here.one->core().log().terms.base_term() == term{1});
    CHECK(here.one->core().members() == alone);
    CHECK(here.one->log()->producers().find(77));
  }
  SECTION("without what it must bring") {
    here.receive(body, 9);
    CHECK(here.one->counts().messages_refused == 1);
    CHECK(here.last<append_reply>() == nullptr);
  }
  SECTION("of another place") {
    auto wrong = body;
    wrong.start = batch_number{start.value + 1};
    here.receive(wrong, 9, beside);
    CHECK(here.one->counts().messages_refused == 1);
  }
  SECTION("with producers that are none") {
    beside.back() ^= std::byte{1};
    here.receive(body, 9, beside);
    CHECK(here.one->counts().messages_refused == 1);
  }
}

TEST_CASE("a new start that a crash interrupts has come about, or not") {
  // The follower's own log, of several segments, and a start behind it.
  const auto start = batch_number{100};
  const storage::log_start facts{
      log_id{7}, start, byte_offset{5'000'000}, record_number{99}, term{8}, {}, 0};
  storage::producer_table known;
  known.appended({77, 1, 5}, batch_number{2}, 1000);
  const auto encoded = storage::encode(facts);
  const auto producers = storage::encode_producers(log_id{7}, start, known);
  std::vector<std::byte> beside{encoded.begin(), encoded.end()};
  beside.insert(beside.end(), producers.begin(), producers.end());
  int came = 0;
  int stayed = 0;
  for (std::uint64_t deeds = 0; deeds < 120 && came < 5; ++deeds) {
    bench here{alone};
    here.start();
    here.lead();
    for (int i = 0; i < 12; ++i)
      here.append(40'000);
    here.one->trim(here.now(), batch_number{5});
    here.settle();
    const auto end = here.one->log()->durable_next();
    here.door.die_in(deeds);
    here.receive(rebase{1, start, term{8}, {batch_number{0}, both}}, 9, beside);
    came += here.door.dead() ? 0 : 1;
    here.lose_power();
    here.start();
    const auto& core = here.one->core();
    if (core.log().terms.start() == start) {
      REQUIRE(core.log().terms.end() == start);
      REQUIRE(core.members() == both);
      REQUIRE(core.log().terms.base_term() == term{8});
      REQUIRE(here.one->log()->durable_end() == byte_offset{5'000'000});
      REQUIRE(here.one->log()->producers().find(77));
    } else {
      ++stayed;
      REQUIRE(core.log().terms.end() == end);
      REQUIRE(core.members() == alone);
    }
    REQUIRE(here.promised); // and it takes part either way
    here.receive(vote_request{false, true, {batch_number{1000}, term{20}}}, 30);
    REQUIRE(here.last<vote_reply>() != nullptr);
    REQUIRE(here.last<vote_reply>()->granted);
  }
  CHECK(came > 0);
  CHECK(stayed > 5);
}

TEST_CASE("what stood before the log's start is known after a restart") {
  bench here{alone};
  here.start();
  here.lead();
  for (int i = 0; i < 12; ++i)
    here.append(40'000);
  here.one->trim(here.now(), batch_number{11});
  here.settle();
  const auto start = here.one->log()->start_number();
  REQUIRE(start > batch_number{1});
  SECTION("after power was lost") {
    here.lose_power();
  }
  SECTION("with nothing taken yet") {
    // The file says so, the segments are still there: a crash between the two.
    here.lose_power();
    REQUIRE(here.door.exists(directory + "/replica"));
  }
  here.start();
  CHECK(here.one->core().log().terms.start() == start);
  CHECK(here.one->core().log().terms.base_term() == term{1});
  CHECK(here.one->log()->start_number() == start);
  here.lead();
}

TEST_CASE("without that it takes no part") {
  bench here{alone};
  here.start();
  here.lead();
  for (int i = 0; i < 12; ++i)
    here.append(40'000);
  here.one->trim(here.now(), batch_number{11});
  here.settle();
  here.lose_power();
  SECTION("the file is gone") {
    REQUIRE(here.door.remove(directory + "/replica"));
  }
  SECTION("the file has rotted") {
    const auto byte = here.door.content(directory + "/replica")[20] ^ std::byte{1};
    here.door.overwrite(directory + "/replica", 20, {&byte, 1});
  }
  const auto found = open_replica(here.environment, here.policy, here.identity());
  REQUIRE(found);
  CHECK_FALSE(found->start.fit);
  CHECK(found->log->durable_next() == batch_number{14}); // and can be read
}

TEST_CASE("votes of a later term than the batches' must be known") {
  bench here{alone};
  here.start();
  here.lead();
  here.append(10);
  here.stop();
  here.promised.reset();
  auto found = open_replica(here.environment, here.policy, here.identity());
  REQUIRE(found);
  CHECK_FALSE(found->start.fit);
  found->log.reset();
  here.votes_sound = false;
  here.promised = vote_record{log_id{7}, term{9}, std::nullopt};
  found = open_replica(here.environment, here.policy, here.identity());
  REQUIRE(found);
  CHECK_FALSE(found->start.fit);
}

TEST_CASE("a segment that an orderly end closed goes on") {
  bench here{alone};
  here.start();
  here.lead();
  here.append(1000);
  auto& log = *here.one->log();
  here.ingestion.reset();
  log.close();
  for (int i = 0; i < 100 && !log.closed(); ++i) {
    here.door.settle();
    here.clock.advance_ns(here.environment.chosen.tick_ns);
    log.tick(here.clock.steady_ns());
  }
  REQUIRE(log.closed());
  here.stop();
  here.start();
  CHECK(here.one->log()->has_active());
  here.lead();
  here.append(500);
  CHECK(here.one->log()->segment_count() == 1);
}

TEST_CASE("a membership is asked of whoever appends") {
  bench here{alone};
  here.start();
  here.lead();
  here.append(10);
  REQUIRE(here.one->change_members(here.now(), membership_step::add_learner, node_id{2}));
  REQUIRE_FALSE(here.control.empty());
  const byte_view piece{here.control};
  storage::append_request request;
  request.payload = {&piece, 1};
  request.payload_crc = wire::checksum(request.payload_sum, here.control);
  request.flags = storage::batch_flag::control;
  request.wall_ns = here.clock.wall_ns();
  REQUIRE(here.ingestion->append(request));
  here.collect();
  here.settle();
  CHECK(here.one->core().members().learns(node_id{2}));
  here.append(10);
  here.pass(here.chosen.heartbeat_ns);
  REQUIRE(here.last<append>() != nullptr); // the learner is asked where it stands
  here.lose_power();
  here.start();
  CHECK(here.one->core().members().learns(node_id{2}));
}

TEST_CASE("a follower that is far behind is fed from segments, a large batch too") {
  bench here{alone};
  here.start();
  here.lead();
  for (int i = 0; i < 4; ++i)
    here.append(1000);
  here.append(50'000); // more than an append's bytes
  here.append(1000);
  REQUIRE(here.one->change_members(here.now(), membership_step::add_learner, node_id{2}));
  const byte_view piece{here.control};
  storage::append_request request;
  request.payload = {&piece, 1};
  request.payload_crc = wire::checksum(request.payload_sum, here.control);
  request.flags = storage::batch_flag::control;
  request.wall_ns = here.clock.wall_ns();
  REQUIRE(here.ingestion->append(request));
  here.collect();
  here.settle();
  here.cache.shrink_to(0);
  // Another leadership knows no tail: all is fetched.
  here.lose_power();
  here.start();
  here.lead();
  std::uint64_t have = 1;
  const auto end = here.one->core().log().terms.end().value;
  for (int i = 0; i < 40 && have < end; ++i)
    for (const auto& [what, beside] : std::exchange(here.outbox, {})) {
      const auto* body = std::get_if<append>(&what.body);
      if (body == nullptr)
        continue;
      append_reply reply;
      reply.sequence = body->sequence;
      reply.accepted = body->from.value <= have;
      if (reply.accepted)
        have = std::max(have, body->end.value);
      reply.hint = {batch_number{have}, term{}};
      reply.durable_end = reply.received_end = batch_number{have};
      REQUIRE(take_copies(log_id{7}, *body, beside));
      here.receive(reply, here.leads_in.value);
    }
  CHECK(have == end);
}

TEST_CASE("leadership that is lost takes back what was not submitted") {
  bench here{both};
  here.promised = vote_record{log_id{7}, term{4}, std::nullopt};
  here.start();
  // Elected by the other's vote.
  here.pass(2 * here.chosen.election_ns);
  here.receive(vote_reply{true, true, term{5}}, 4);
  here.receive(vote_reply{false, true, term{5}}, 5);
  REQUIRE(here.one->core().now() == role::leader);
  here.append(100);
  const std::vector<std::byte> payload(100, std::byte{'y'});
  const byte_view piece{payload};
  storage::append_request request;
  request.payload = {&piece, 1};
  request.payload_crc = wire::checksum(request.payload_sum, payload);
  request.wall_ns = here.clock.wall_ns();
  REQUIRE(here.ingestion->append(request)); // and is not submitted
  REQUIRE(here.ingestion->collect(here.run));
  auto late = std::move(here.run);
  here.receive(beat{batch_number{1}, 1}, 8);
  CHECK(here.one->core().now() == role::follower);
  CHECK_FALSE(here.ingestion);
  here.one->submit(here.now(), term{5}, late);
  here.settle();
  CHECK(here.one->core().log().terms.end() == batch_number{3});
  CHECK(here.one->log()->durable_next() == batch_number{3});
}

TEST_CASE("a log that fences itself gives up leadership") {
  bench here{alone};
  here.start();
  here.lead();
  here.append(100);
  here.door.faults.flush_in = 0;
  const std::vector<std::byte> payload(100, std::byte{'y'});
  const byte_view piece{payload};
  storage::append_request request;
  request.payload = {&piece, 1};
  request.payload_crc = wire::checksum(request.payload_sum, payload);
  request.wall_ns = here.clock.wall_ns();
  REQUIRE(here.ingestion->append(request));
  here.collect();
  here.settle();
  CHECK(here.one->core().now() == role::follower);
  CHECK_FALSE(here.ingestion);
  here.pass(5 * here.chosen.election_ns);
  CHECK(here.one->core().now() == role::follower);
  CHECK(here.committed == batch_number{3});
}
