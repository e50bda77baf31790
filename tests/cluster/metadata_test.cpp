// The table of topics: what may change it, what its entries look like, and that the same entries
// give the same table.
#include "cluster/metadata.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

#include "cluster/entry.hpp"
#include "tests/wire/random.hpp"

using namespace lance;
using namespace lance::cluster;

namespace {

constexpr std::uint64_t now_s = 1'700'000'000;

// The table after the planned change, which must fit.
metadata_change perform(metadata& table, const result<metadata_entry>& planned) {
  REQUIRE(planned);
  auto change = table.apply(*planned);
  REQUIRE(change);
  return *change;
}

topic_id create(metadata& table, std::string_view name) {
  return perform(table, table.plan_create({.name = name}, now_s)).row.id;
}

metadata rebuilt(const metadata& from) {
  metadata table;
  for (const auto& bytes : from.snapshot()) {
    const auto entry = decode_metadata(bytes);
    REQUIRE(entry);
    REQUIRE(table.apply(*entry));
  }
  return table;
}

errc code_of(const result<metadata_entry>& planned) {
  REQUIRE_FALSE(planned);
  return planned.error().code;
}

topic row_of(std::uint32_t id, std::string name) {
  return {topic_id{id}, std::move(name), now_s, 1, {}};
}

std::vector<std::byte> raw(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values)
    bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

} // namespace

TEST_CASE("a topic is created, found and listed") {
  metadata table;
  const auto change = perform(table, table.plan_create({.name = "orders"}, now_s));
  CHECK(change.kind == change_kind::created);
  CHECK(change.row == topic{topic_id{1}, "orders", now_s, 1, {}});

  REQUIRE(table.find("orders") != nullptr);
  CHECK(*table.find("orders") == change.row);
  CHECK(table.find(topic_id{1}) == table.find("orders"));
  CHECK(table.find(topic_id{2}) == nullptr);
  CHECK(table.find("Orders") == nullptr);

  create(table, "alpha");
  std::vector<std::uint32_t> ids;
  for (const auto& [id, row] : table.topics())
    ids.push_back(id.value);
  CHECK(ids == std::vector<std::uint32_t>{1, 2});
}

TEST_CASE("planning changes nothing") {
  metadata table;
  REQUIRE(table.plan_create({.name = "orders"}, now_s));
  CHECK(table == metadata{});
  CHECK(table.find("orders") == nullptr);
}

TEST_CASE("names follow the rule of the wire, and those of internal logs are not for clients") {
  metadata table;
  for (const auto name : {"", "0", "a/b", "a b", "..", "ä", "__meta", "__groups", "__"})
    CHECK(code_of(table.plan_create({.name = name}, now_s)) == errc::invalid_name);
  CHECK(code_of(table.plan_create({.name = std::string(256, 'n')}, now_s)) == errc::invalid_name);
  for (const auto name : {"_x", "00", "-", "default"})
    create(table, name);
  create(table, std::string(255, 'n'));
  CHECK(code_of(table.plan_create({.name = "00"}, now_s)) == errc::topic_exists);
}

TEST_CASE("missing members of a policy are the node's, retention excepted") {
  topic_policy defaults;
  defaults.mode = ack_mode::l2;
  defaults.level = durability::written;
  defaults.limits = wire::retention{100, 200};
  metadata table{defaults};
  CHECK(table.default_topic().policy == defaults);

  const auto plain = perform(table, table.plan_create({.name = "plain"}, now_s)).row;
  CHECK(plain.policy.mode == ack_mode::l2);
  CHECK(plain.policy.level == durability::written);
  CHECK_FALSE(plain.policy.limits);

  wire::topic_policy asked;
  asked.durability = durability::memory;
  asked.max_age_secs = 7;
  const auto own = perform(table, table.plan_create({.name = "own", .policy = asked}, now_s)).row;
  CHECK(own.policy.mode == ack_mode::l2);
  CHECK(own.policy.level == durability::memory);
  CHECK(own.policy.limits == wire::retention{7, 0});
}

TEST_CASE("a policy that cannot be kept is refused") {
  metadata table{{}, {.partitions_max = 1, .replicas_max = 3}};
  const auto with = [&](auto set) {
    wire::topic_policy asked;
    set(asked);
    return table.plan_create({.name = "asked", .policy = asked}, now_s);
  };
  CHECK(code_of(with([](auto& p) { p.partitions = 0; })) == errc::invalid_request);
  CHECK(code_of(with([](auto& p) { p.partitions = 1025; })) == errc::invalid_request);
  CHECK(code_of(with([](auto& p) { p.partitions = 2; })) == errc::unsupported);
  CHECK(code_of(with([](auto& p) { p.replicas = 0; })) == errc::invalid_request);
  CHECK(code_of(with([](auto& p) { p.replicas = 10; })) == errc::invalid_request);
  CHECK(code_of(with([](auto& p) { p.replicas = 4; })) == errc::unsupported);
  CHECK(with([](auto& p) { p.replicas = 3; }));
}

TEST_CASE("a policy changes member by member") {
  metadata table;
  const auto id = create(table, "orders");
  auto change = perform(table, table.plan_set_retention(id, 7, 1ULL << 63U));
  CHECK(change.kind == change_kind::altered);
  CHECK(change.row.policy.limits == wire::retention{7, 1ULL << 63U});
  CHECK(perform(table, table.plan_set_retention(id, 7, 1ULL << 63U)).kind == change_kind::none);

  wire::topic_policy members;
  members.durability = durability::memory;
  members.max_bytes = 5;
  change = perform(table, table.plan_set_policy(id, members));
  CHECK(change.row.policy.level == durability::memory);
  CHECK(change.row.policy.mode == ack_mode::l1);
  CHECK(change.row.policy.limits == wire::retention{7, 5});
  CHECK(*table.find(id) == change.row);

  members.partitions = 2;
  CHECK(code_of(table.plan_set_policy(id, members)) == errc::unsupported);
  members.partitions = 1;
  CHECK(table.plan_set_policy(id, members));
  CHECK(code_of(table.plan_set_policy(id, {})) == errc::invalid_request);
  CHECK(code_of(table.plan_set_policy(topic_id{9}, members)) == errc::topic_not_found);
  CHECK(code_of(table.plan_set_retention(topic_id{9}, 1, 1)) == errc::topic_not_found);
}

TEST_CASE("topic 0 is always there and never changes") {
  metadata table;
  REQUIRE(table.find(topic_id{0}) != nullptr);
  CHECK(table.find("0") == table.find(topic_id{0}));
  CHECK(table.topics().empty());
  CHECK(code_of(table.plan_delete(topic_id{0})) == errc::invalid_request);
  CHECK(code_of(table.plan_set_retention(topic_id{0}, 1, 1)) == errc::invalid_request);
  CHECK_FALSE(table.apply(topic_deleted{topic_id{0}}));
  CHECK_FALSE(table.apply(topic_created{row_of(0, "zero")}));
  CHECK(table == metadata{});
}

TEST_CASE("ids are never used again") {
  metadata table;
  const auto first = create(table, "again");
  const auto gone = perform(table, table.plan_delete(first));
  CHECK(gone.kind == change_kind::deleted);
  CHECK(gone.row.name == "again");
  CHECK(table.find(first) == nullptr);
  CHECK(table.find("again") == nullptr);
  CHECK(code_of(table.plan_delete(first)) == errc::topic_not_found);

  CHECK(rebuilt(table).next_id() == 2);
  CHECK(create(table, "again") == topic_id{2});

  metadata worn;
  REQUIRE(worn.apply(next_topic_id{topic_id_max.value + 1}));
  CHECK(code_of(worn.plan_create({.name = "one-more"}, now_s)) == errc::throttled);
  CHECK_FALSE(worn.apply(next_topic_id{1}));
  CHECK(worn.next_id() == topic_id_max.value + 1);
}

TEST_CASE("an entry that no longer fits is refused and leaves the table as it was") {
  metadata table;
  const auto one = table.plan_create({.name = "one"}, now_s);
  const auto other = table.plan_create({.name = "other"}, now_s); // planned too early: the same id
  const auto id = perform(table, one).row.id;
  const auto before = table;
  CHECK(table.apply(*other).error().code == errc::topic_exists);
  CHECK(table.apply(topic_created{row_of(7, "one")}).error().code == errc::topic_exists);
  CHECK(table.apply(topic_deleted{topic_id{7}}).error().code == errc::topic_not_found);
  wire::topic_policy members;
  members.max_bytes = 1;
  CHECK(table.apply(policy_changed{topic_id{7}, members}).error().code == errc::topic_not_found);
  CHECK(table == before);
  CHECK(table.find("other") == nullptr);

  const auto late = table.plan_set_policy(id, members);
  perform(table, table.plan_delete(id));
  CHECK(table.apply(*late).error().code == errc::topic_not_found);
}

TEST_CASE("the table is bounded") {
  metadata table;
  for (std::size_t number = 1; number <= topics_max; ++number)
    REQUIRE(table.apply(
        topic_created{row_of(static_cast<std::uint32_t>(number), "t" + std::to_string(number))}));
  CHECK(code_of(table.plan_create({.name = "one-more"}, now_s)) == errc::throttled);
  CHECK(table.apply(topic_created{row_of(topics_max + 1, "one-more")}).error().code ==
        errc::throttled);
  perform(table, table.plan_delete(topic_id{5}));
  CHECK(create(table, "one-more") == topic_id{topics_max + 1});
}

TEST_CASE("a row in the words of the wire") {
  auto row = row_of(3, "orders");
  CHECK_FALSE(info_of(row).policy.max_age_secs);
  CHECK_FALSE(info_of(row).policy.max_bytes);
  row.policy.limits = wire::retention{0, 9};
  const auto info = info_of(row);
  CHECK(info.id == row.id);
  CHECK(info.name == "orders");
  CHECK(info.created_at == now_s);
  CHECK(info.policy.partitions == 1U);
  CHECK(info.policy.max_age_secs == 0U);
  CHECK(info.policy.max_bytes == 9U);
}

// --- bytes -------------------------------------------------------------------------------------

TEST_CASE("golden bytes of the topic entries") {
  auto row = row_of(0x01020304, "ab");
  row.created_at = 0x0a0b;
  row.policy.replicas = 3;
  row.policy.mode = ack_mode::l2;
  row.policy.level = durability::memory;
  row.policy.limits = wire::retention{7, 0x100};
  CHECK(encode(topic_created{row}) ==
        raw({1, 1, 4, 3, 2, 1, 0x0b, 0x0a, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0,   0,  0,
             3, 0, 0, 0, 1, 2, 1,    7,    0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 'a', 'b'}));
  auto kept = encode(topic_created{row});
  kept[1] = std::byte{5};
  CHECK(encode(topic_kept{row}) == kept);
  CHECK(encode(topic_deleted{topic_id{9}}) == raw({1, 2, 9, 0, 0, 0}));
  CHECK(encode(next_topic_id{10}) == raw({1, 4, 10, 0, 0, 0}));
  wire::topic_policy members;
  members.durability = durability::written;
  members.max_bytes = 2;
  CHECK(encode(policy_changed{topic_id{5}, members}) ==
        raw({1, 3, 5, 0, 0, 0, 8 + 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
             0, 0, 0, 0, 0, 0, 0,      0, 2, 0, 0, 0, 0, 0, 0, 0}));
}

TEST_CASE("bytes that are no topic entry are refused") {
  const auto error_of = [](std::vector<std::byte> bytes) {
    const auto entry = decode_metadata(bytes);
    REQUIRE_FALSE(entry);
    return entry.error().code;
  };
  const auto created = encode(topic_created{row_of(1, "ab")});
  for (std::size_t size = 0; size < created.size() - 1; ++size)
    CHECK(error_of({created.begin(), created.begin() + static_cast<std::ptrdiff_t>(size)}) ==
          errc::bad_format);

  const auto with = [&created](std::size_t at, int value) {
    auto bytes = created;
    bytes[at] = static_cast<std::byte>(value);
    return bytes;
  };
  CHECK(error_of(with(0, 2)) == errc::unsupported);
  CHECK(error_of(with(0, 0)) == errc::unsupported);
  CHECK(error_of(with(1, 0)) == errc::bad_format);
  CHECK(error_of(with(1, 0x20)) == errc::bad_format); // an entry of the other table
  CHECK(error_of(with(2, 0)) == errc::bad_format);    // topic 0
  CHECK(error_of(with(5, 0x80)) == errc::bad_format); // an id of the upper half
  CHECK(error_of(with(22, 0)) == errc::bad_format);   // no partitions
  CHECK(error_of(with(30, 2)) == errc::bad_format);   // mode
  CHECK(error_of(with(31, 3)) == errc::bad_format);   // durability
  CHECK(error_of(with(32, 2)) == errc::bad_format);   // "has a retention policy"
  CHECK(error_of(with(33, 1)) == errc::bad_format);   // has none, and yet a limit
  CHECK(error_of(with(49, '/')) == errc::bad_format);
  CHECK(error_of(raw({1, 2, 9, 0, 0, 0, 0})) == errc::bad_format);
  CHECK(error_of(raw({1, 4, 0, 0, 0, 0})) == errc::bad_format);
  CHECK(error_of(std::vector<std::byte>(5000, std::byte{1})) == errc::bad_format);

  wire::topic_policy members;
  members.replicas = 2;
  auto changed = encode(policy_changed{topic_id{5}, members});
  changed[6] = std::byte{0}; // nothing changes
  CHECK(error_of(changed) == errc::bad_format);
  changed[6] = std::byte{1}; // partitions, which are 0
  CHECK(error_of(changed) == errc::bad_format);
  changed[6] = std::byte{64 + 2};
  CHECK(error_of(changed) == errc::bad_format);
}

TEST_CASE("whatever is decoded encodes to the same bytes") {
  wire::test::random_source random{"metadata entries"};
  wire::topic_policy members;
  members.mode = ack_mode::l2;
  members.max_age_secs = 3;
  const std::vector<metadata_entry> seeds{
      topic_created{row_of(1, "seed")}, topic_deleted{topic_id{1}},
      policy_changed{topic_id{1}, members}, next_topic_id{7}, topic_kept{row_of(3, "kept")}};
  std::size_t accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = encode(seeds[random.up_to(seeds.size() - 1)]);
    random.mutate(bytes);
    const wire::test::exact_copy input{bytes};
    const auto entry = decode_metadata(input.view());
    if (!entry)
      continue;
    ++accepted;
    CHECK(encode(*entry) == bytes);
    metadata table;
    static_cast<void>(table.apply(*entry)); // must only not end the process
  }
  CHECK(accepted > 0);
}

// --- the same entries, the same table ----------------------------------------------------------

namespace {

// A request of a random client; many of them do not fit.
result<metadata_entry> random_plan(const metadata& table, wire::test::random_source& random) {
  // Mostly an id that was given out not long ago.
  const auto newest = table.next_id() + 1;
  const topic_id id{newest - static_cast<std::uint32_t>(random.up_to(std::min(newest, 40U)))};
  const auto name = "topic-" + std::to_string(random.up_to(20));
  wire::topic_policy members;
  if (random.up_to(1) == 1)
    members.max_age_secs = random.up_to(3);
  if (random.up_to(1) == 1)
    members.durability = static_cast<durability>(random.up_to(2));
  if (random.up_to(3) == 0)
    members.replicas = static_cast<std::uint32_t>(random.up_to(4));
  switch (random.up_to(4)) {
  case 0:
  case 1:
    return table.plan_create({.name = name, .policy = members}, random.up_to(1000));
  case 2:
    return table.plan_delete(id);
  case 3:
    return table.plan_set_retention(id, random.up_to(3), random.up_to(3));
  default:
    return table.plan_set_policy(id, members);
  }
}

} // namespace

TEST_CASE("random commands: replay and snapshot give the same table at every step") {
  wire::test::random_source random{"metadata commands"};
  metadata leader{{}, {.partitions_max = 1, .replicas_max = 3}};
  metadata follower; // has other limits, which must not matter for what is applied
  std::vector<metadata_entry> waiting;
  std::size_t refused_late = 0;
  std::uint32_t last_id = 0;
  for (int step = 0; step < 3000; ++step) {
    if (const auto planned = random_plan(leader, random))
      waiting.push_back(*planned);
    // Sometimes several entries are planned before the first is applied: some then do not fit.
    if (random.up_to(2) == 0)
      continue;
    for (const auto& entry : waiting) {
      const auto before = leader;
      const auto here = leader.apply(entry);
      const auto there = follower.apply(*decode_metadata(encode(entry)));
      REQUIRE(here == there);
      REQUIRE(leader == follower);
      if (!here) {
        ++refused_late;
        REQUIRE(leader == before);
      } else if (here->kind == change_kind::created) {
        REQUIRE(here->row.id.value > last_id);
        last_id = here->row.id.value;
      }
      REQUIRE(leader.snapshot() == rebuilt(leader).snapshot());
      REQUIRE(leader == rebuilt(leader));
    }
    waiting.clear();
  }
  CHECK(refused_late > 0);
  for (const auto& [id, row] : leader.topics()) {
    CHECK(leader.find(row.name) == leader.find(id));
    CHECK(row.id == id);
  }
}

TEST_CASE("random commands: a snapshot and the rest of the log give the whole log's table") {
  wire::test::random_source random{"metadata prefixes"};
  metadata table;
  std::vector<metadata_entry> log;
  while (log.size() < 300) {
    const auto planned = random_plan(table, random);
    if (planned && table.apply(*planned))
      log.push_back(*planned);
  }
  metadata prefix;
  for (std::size_t cut = 0; cut <= log.size(); ++cut) {
    auto resumed = rebuilt(prefix);
    for (std::size_t at = cut; at < log.size(); ++at)
      REQUIRE(resumed.apply(log[at]));
    REQUIRE(resumed == table);
    if (cut < log.size())
      REQUIRE(prefix.apply(log[cut]));
  }
}

TEST_CASE("a row of a snapshot is the truth about its topic, and about no other") {
  metadata table;
  const auto id = create(table, "orders");
  create(table, "bills");
  perform(table, table.plan_delete(id));

  auto row = row_of(id.value, "orders"); // an id below those used up, but of a topic that is kept
  auto change = table.apply(topic_kept{row});
  REQUIRE(change);
  CHECK(change->kind == change_kind::created);
  CHECK(table.next_id() == 3);
  row.policy.limits = wire::retention{1, 2};
  change = table.apply(topic_kept{row});
  REQUIRE(change);
  CHECK(change->kind == change_kind::altered);
  CHECK(*table.find("orders") == row);
  CHECK(table.apply(topic_kept{row})->kind == change_kind::none);

  const auto before = table;
  CHECK(table.apply(topic_kept{row_of(7, "bills")}).error().code == errc::topic_exists);
  CHECK(table.apply(topic_kept{row_of(1, "bills")}).error().code == errc::topic_exists);
  CHECK(table.apply(topic_kept{row_of(1, "other")}).error().code == errc::topic_exists);
  CHECK(table.apply(topic_kept{row_of(0, "zero")}).error().code == errc::invalid_request);
  CHECK(table.apply(topic_kept{row_of(7, "0")}).error().code == errc::topic_exists);
  CHECK(table == before);
  CHECK(table.apply(topic_kept{row_of(7, "seven")}));
  CHECK(table.next_id() == 8);
}

TEST_CASE("random commands: a snapshot after any part of its history gives the whole table") {
  wire::test::random_source random{"metadata suffixes"};
  metadata table;
  std::vector<metadata_entry> log;
  while (log.size() < 300) {
    const auto planned = random_plan(table, random);
    if (planned && table.apply(*planned))
      log.push_back(*planned);
  }
  const auto snapshot = table.snapshot();
  std::size_t did_not_fit = 0;
  for (std::size_t cut = 0; cut <= log.size(); ++cut) {
    metadata resumed;
    for (std::size_t at = cut; at < log.size(); ++at)
      if (!resumed.apply(log[at]))
        ++did_not_fit;
    for (const auto& bytes : snapshot)
      REQUIRE(resumed.apply(*decode_metadata(bytes)));
    REQUIRE(resumed == table);
  }
  CHECK(did_not_fit > 0);
}
