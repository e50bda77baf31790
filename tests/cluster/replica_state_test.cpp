#include "cluster/replica_state.hpp"

#include <string>

#include <catch2/catch.hpp>

#include "wire/checksum.hpp"

using namespace lance;
using namespace lance::cluster;

namespace {

const membership three{{node_id{1}, node_id{2}, node_id{3}}, {}};
const membership four{{node_id{1}, node_id{2}, node_id{3}}, {node_id{4}}};

replica_state begun(std::uint64_t start = 1, std::uint64_t base = 0) {
  return replica_state::at(log_id{7}, batch_number{start}, term{base}, {batch_number{0}, three});
}

vote_record promised(std::uint64_t in_term) {
  return {log_id{7}, term{in_term}, node_id{3}};
}

} // namespace

TEST_CASE("terms and memberships are those of the batches") {
  auto start = begun(10, 2);
  REQUIRE(start.add(batch_number{10}, term{2}));
  REQUIRE(start.add(batch_number{11}, term{4}, control_batch{}));
  REQUIRE(start.add(batch_number{12}, term{4}, control_batch{four}));
  REQUIRE(start.add(batch_number{13}, term{4}));
  const auto found = start.begin(node_id{2}, promised(5), true);
  CHECK(found.log == log_id{7});
  CHECK(found.self == node_id{2});
  CHECK(found.start == batch_number{10});
  CHECK(found.base_term == term{2});
  CHECK(found.end == batch_number{14});
  CHECK(found.runs ==
        std::vector{term_run{batch_number{10}, term{2}}, term_run{batch_number{11}, term{4}}});
  CHECK(found.memberships == std::vector{membership_at{batch_number{12}, four}});
  CHECK(found.current == term{5});
  CHECK(found.vote == node_id{3});
  CHECK(found.fit);
  const raft core{{}, found, {}}; // and a core takes it
  CHECK(core.current_term() == term{5});
}

TEST_CASE("batches that do not follow are corrupt") {
  auto start = begun();
  REQUIRE(start.add(batch_number{1}, term{3}));
  CHECK(start.add(batch_number{3}, term{3}).error().code == errc::corrupt);
  CHECK(start.add(batch_number{1}, term{3}).error().code == errc::corrupt);
  CHECK(start.add(batch_number{2}, term{2}).error().code == errc::corrupt);
  CHECK(begun(1, 4).add(batch_number{1}, term{3}).error().code == errc::corrupt);
  CHECK(start.begin(node_id{2}, promised(3), true).end == batch_number{2});
}

TEST_CASE("who may have forgotten a vote is not fit") {
  auto start = begun();
  REQUIRE(start.add(batch_number{1}, term{3}));
  CHECK(start.begin(node_id{2}, promised(3), true).fit);
  CHECK_FALSE(start.begin(node_id{2}, promised(3), false).fit);
  for (const auto& row : {std::optional<vote_record>{}, std::optional{promised(2)}}) {
    const auto found = start.begin(node_id{2}, row, true);
    CHECK_FALSE(found.fit);
    CHECK(found.current == term{3});
    CHECK_FALSE(found.vote.has_value());
  }
  CHECK(begun().begin(node_id{2}, {}, true).fit); // new
  CHECK(begun(9, 2).begin(node_id{2}, {}, true).current == term{2});
  CHECK_FALSE(begun(9, 2).begin(node_id{2}, {}, true).fit);
}

namespace {

// A state with everything in it.
replica_state full() {
  auto state = begun(10, 2);
  REQUIRE(state.add(batch_number{10}, term{2}));
  REQUIRE(state.add(batch_number{11}, term{4}, control_batch{}));
  REQUIRE(state.add(batch_number{12}, term{4}, control_batch{four}));
  REQUIRE(state.add(batch_number{13}, term{7}));
  return state;
}

std::vector<std::byte> bytes_of(std::string_view hex) {
  std::vector<std::byte> bytes;
  for (std::size_t at = 0; at + 1 < hex.size(); at += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string{hex.substr(at, 2)}, nullptr, 16)));
  return bytes;
}

} // namespace

TEST_CASE("the file is the bytes that storage/README.md says") {
  auto state = begun(3, 2);
  REQUIRE(state.add(batch_number{3}, term{5}, control_batch{four}));
  const auto bytes = encode(state);
  REQUIRE(bytes);
  const auto sum = bytes->size() - 4;
  CHECK(std::vector(bytes->begin(), bytes->begin() + static_cast<std::ptrdiff_t>(sum)) ==
        bytes_of("4c4e435245500001" // magic, version
                 "0700000000000000" // log
                 "0300000000000000" // start
                 "0200000000000000" // base term
                 "0400000000000000" // end
                 "0100000001000000" // runs, memberships
                 "0000000000000000"
                 "0300"
                 "010002000300" // held at the start
                 "0300000000000000"
                 "0500000000000000" // a run
                 "0300000000000000"
                 "0301"
                 "0100020003000400"));
  CHECK(load_le<std::uint32_t>(bytes->data() + sum) ==
        wire::checksum(wire::checksum_kind::castagnoli, byte_view{*bytes}.first(sum)));
}

TEST_CASE("what is written is read again") {
  for (const auto& state : {full(), begun(), begun(7, 3)}) {
    const auto bytes = encode(state);
    REQUIRE(bytes);
    const auto again = decode_replica_state(*bytes);
    REQUIRE(again);
    CHECK(*again == state);
  }
}

TEST_CASE("a file that is not whole is none") {
  const auto bytes = *encode(full());
  for (std::size_t size = 0; size < bytes.size(); ++size)
    REQUIRE_FALSE(decode_replica_state(byte_view{bytes}.first(size)));
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto turned = bytes;
    turned[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    REQUIRE(decode_replica_state(turned).error().code == errc::bad_format);
  }
}

TEST_CASE("what does not rise is no state, whatever its checksum says") {
  const auto refused = [](replica_state state) {
    const auto bytes = encode(state);
    REQUIRE(bytes);
    return decode_replica_state(*bytes).error().code == errc::bad_format;
  };
  auto state = full();
  state.end = batch_number{9}; // before the start
  CHECK(refused(state));
  state = full();
  state.runs[1].in_term = term{1};
  CHECK(refused(state));
  state = full();
  state.runs[1].first = batch_number{10};
  CHECK(refused(state));
  state = full();
  state.runs[0].first = batch_number{11}; // whose is the first?
  CHECK(refused(state));
  state = full();
  state.runs.back().first = batch_number{14};
  CHECK(refused(state));
  state = full();
  state.runs.clear();
  CHECK(refused(state));
  state = full();
  state.memberships.push_back({batch_number{12}, three});
  CHECK(refused(state));
  state = full();
  state.memberships.push_back({batch_number{14}, three});
  CHECK(refused(state));
  state = full();
  state.first_members.at = batch_number{10};
  CHECK(refused(state));
  state = full();
  state.first_members.members.voters.clear();
  CHECK(refused(state));
}

TEST_CASE("a state that is too large is not written") {
  auto state = begun();
  for (std::uint64_t at = 1; at <= replica_state_bytes_max / 16; ++at)
    REQUIRE(state.add(batch_number{at}, term{at}));
  CHECK(encode(state).error().code == errc::too_large);
}

TEST_CASE("what is cut off is forgotten") {
  auto state = full();
  state.truncate(batch_number{12});
  CHECK(state.end == batch_number{12});
  CHECK(state.runs.size() == 2);
  CHECK(state.memberships.empty());
  CHECK(state.last_term() == term{4});
  state.truncate(batch_number{40}); // nothing lies there
  CHECK(state.end == batch_number{12});
  state.truncate(batch_number{10});
  CHECK(state == begun(10, 2));
}

TEST_CASE("the state of a running member is what recovery would find") {
  const auto state = full();
  const auto begins = state.begin(node_id{2}, promised(9), true);
  const raft core{{}, begins, {}};
  CHECK(state_of(log_id{7}, core.log(), batch_number{10}) == state);
  const auto later = state_of(log_id{7}, core.log(), batch_number{13});
  CHECK(later.base_term == term{4});
  CHECK(later.first_members == membership_at{batch_number{12}, four});
  CHECK(later.runs == std::vector{term_run{batch_number{13}, term{7}}});
  CHECK(later.memberships.empty());
}
