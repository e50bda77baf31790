#include "cluster/message_bytes.hpp"

#include <functional>
#include <random>
#include <string>

#include <catch2/catch.hpp>

#include "tests/wire/vectors.hpp"
#include "wire/peer.hpp"

using namespace lance;
using namespace lance::cluster;
using lance::wire::test::from_hex;
using lance::wire::test::to_hex;

namespace {

constexpr node_id us{2};
constexpr node_id them{7};

message made(decltype(message::body) body) {
  return {log_id{0x0a0b0c0d}, them, us, term{9}, std::move(body)};
}

membership three_and_one() {
  return {{node_id{1}, node_id{2}, node_id{3}}, {node_id{4}}};
}

std::vector<std::byte> bytes(const message& what) {
  std::vector<std::byte> body;
  append_message(body, what);
  return body;
}

append example_append() {
  append body;
  body.sequence = 1;
  body.from = batch_number{10};
  body.end = batch_number{20};
  body.previous_term = term{4};
  body.runs = {{batch_number{10}, term{4}}, {batch_number{15}, term{9}}};
  body.memberships = {{batch_number{15}, three_and_one()}};
  body.committed_end = batch_number{12};
  return body;
}

struct golden {
  decltype(message::body) body;
  std::string hex; // behind length, log and term
};

// cluster/README.md, "Messages as bytes".
std::vector<golden> goldens() {
  const std::string one = "0100000000000000";
  const std::string two = "0200000000000000";
  const std::string three = "0300000000000000";
  const std::string members = "0301"
                              "0100"
                              "0200"
                              "0300"
                              "0400";
  return {
      {vote_request{true, false, {batch_number{1}, term{2}}}, "0101" + one + two},
      {vote_request{false, true, {batch_number{1}, term{2}}}, "0102" + one + two},
      {vote_reply{true, true, term{3}}, "0205" + three},
      {vote_reply{false, false, term{3}}, "0200" + three},
      {example_append(), "0300" + one +
                             "0a00000000000000"
                             "1400000000000000"
                             "0400000000000000"
                             "0c00000000000000"
                             "02000000"
                             "01000000"
                             "0a00000000000000"
                             "0400000000000000"
                             "0f00000000000000"
                             "0900000000000000"
                             "0f00000000000000" +
                             members},
      {append_reply{1, true, batch_number{2}, batch_number{3}, {batch_number{1}, term{2}}, 3},
       "0404" + one + two + three + one + two + three},
      {beat{batch_number{1}, 2}, "0500" + one + two},
      {beat_reply{1, batch_number{2}, batch_number{3}}, "0600" + one + two + three},
      {timeout_now{batch_number{1}}, "0700" + one},
      {rebase{1, batch_number{2}, term{3}, {batch_number{1}, three_and_one()}},
       "0800" + one + two + three + one + members},
  };
}

std::string framed(const std::string& hex) { // kind, flags and fields to a whole entry
  std::vector<std::byte> length(4);
  store_le(length.data(), static_cast<std::uint32_t>(4 + hex.size() / 2 + 2 + 12));
  return to_hex(length) + hex.substr(0, 4) + "0000" + "0d0c0b0a" + "0900000000000000" +
         hex.substr(4);
}

bool decodes(const message& what) {
  const auto body = bytes(what);
  return message_reader{body, them, us}.next().has_value();
}

bool decodes(append body) {
  return decodes(made(std::move(body)));
}

} // namespace

TEST_CASE("messages have their layout, both ways") {
  for (const auto& [body, hex] : goldens()) {
    const auto expected = framed(hex);
    INFO(expected);
    CHECK(to_hex(bytes(made(body))) == expected);
    const auto given = from_hex(expected);
    message_reader reader{given, them, us};
    const auto back = reader.next();
    REQUIRE(back);
    CHECK(reader.done());
    CHECK(back->from == them);
    CHECK(back->to == us);
    CHECK(back->log == log_id{0x0a0b0c0d});
    CHECK(back->in_term == term{9});
    CHECK(back->body.index() == body.index());
    CHECK(to_hex(bytes(*back)) == expected);
  }
}

TEST_CASE("the messages of many groups share a body") {
  std::vector<std::byte> body;
  for (const auto& each : goldens())
    append_message(body, made(each.body));
  message_reader reader{body, them, us};
  for (const auto& each : goldens()) {
    const auto got = reader.next();
    REQUIRE(got);
    CHECK(got->body.index() == each.body.index());
  }
  CHECK(reader.done());
}

TEST_CASE("a message that is cut short or too long is none") {
  for (const auto& each : goldens()) {
    const auto whole = bytes(made(each.body));
    for (std::size_t size = 0; size < whole.size(); ++size) {
      auto cut = whole;
      cut.resize(size);
      CHECK_FALSE(message_reader(cut, them, us).next());
      if (size >= 4) { // the same with a length that fits
        store_le(cut.data(), static_cast<std::uint32_t>(size));
        CHECK_FALSE(message_reader(cut, them, us).next());
      }
    }
    auto longer = whole;
    longer.push_back(std::byte{0});
    store_le(longer.data(), static_cast<std::uint32_t>(longer.size()));
    CHECK_FALSE(message_reader(longer, them, us).next());
  }
}

TEST_CASE("flags and kinds that a message does not have are refused") {
  for (const auto& each : goldens()) {
    const auto whole = bytes(made(each.body));
    for (const int bit : {16, 32, 64, 128}) {
      auto changed = whole;
      changed[5] |= static_cast<std::byte>(bit);
      CHECK_FALSE(message_reader(changed, them, us).next());
    }
    for (const int kind : {0, 9, 255}) {
      auto changed = whole;
      changed[4] = static_cast<std::byte>(kind);
      CHECK_FALSE(message_reader(changed, them, us).next());
    }
  }
}

TEST_CASE("an append that a core could not take is refused by its bytes") {
  const auto but = [](const std::function<void(append&)>& change) {
    auto body = example_append();
    change(body);
    return decodes(std::move(body));
  };
  CHECK(but([](append&) {}));
  CHECK(but([](append& body) {
    body.end = body.from;
    body.runs.clear();
    body.memberships.clear();
  }));
  CHECK_FALSE(but([](append& body) { body.end = batch_number{9}; }));
  CHECK_FALSE(but([](append& body) { body.end = batch_number{15}; })); // a run begins behind it
  CHECK_FALSE(but([](append& body) { body.runs.clear(); }));
  CHECK_FALSE(but([](append& body) { body.runs[0].first = batch_number{11}; }));
  CHECK_FALSE(but([](append& body) { body.runs[1].first = batch_number{10}; }));
  CHECK_FALSE(but([](append& body) { body.runs[1].in_term = term{4}; }));
  CHECK_FALSE(but([](append& body) { body.runs[1].in_term = term{10}; })); // of the future
  CHECK_FALSE(but([](append& body) { body.previous_term = term{5}; }));
  CHECK_FALSE(but([](append& body) { body.memberships[0].at = batch_number{9}; }));
  CHECK_FALSE(but([](append& body) { body.memberships[0].at = batch_number{20}; }));
  CHECK_FALSE(but([](append& body) { body.memberships.push_back(body.memberships[0]); }));
  CHECK_FALSE(but([](append& body) { body.memberships[0].members.voters.clear(); }));
  CHECK_FALSE(but([](append& body) {
    std::swap(body.memberships[0].members.voters[0], body.memberships[0].members.voters[1]);
  }));
}

TEST_CASE("numbers of runs and members are judged before memory is taken for them") {
  auto many = bytes(made(example_append()));
  store_le(many.data() + 60, std::uint32_t{0xffff'ffff});
  CHECK_FALSE(message_reader(many, them, us).next());
  store_le(many.data() + 60, static_cast<std::uint32_t>(runs_max));
  CHECK_FALSE(message_reader(many, them, us).next());
}

TEST_CASE("the longest append fits into a frame") {
  auto body = example_append();
  body.end = batch_number{1'000'000};
  body.runs.clear();
  body.memberships.clear();
  for (std::uint64_t i = 0; i < runs_max; ++i)
    body.runs.push_back({batch_number{10 + i}, term{10 + i}});
  membership most;
  for (std::uint16_t i = 1; i <= members_max; ++i)
    most.voters.push_back(node_id{i});
  for (std::uint64_t i = 0; i < memberships_max; ++i)
    body.memberships.push_back({batch_number{10 + i}, most});
  auto what = made(std::move(body));
  what.in_term = term{1'000'000};
  CHECK(bytes(what).size() <= wire::peer_body_bytes_max);
  CHECK(decodes(what));
}
