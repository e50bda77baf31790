#include "cluster/control_entry.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::cluster;

namespace {

membership some() {
  return {{node_id{1}, node_id{2}, node_id{0x0304}}, {node_id{9}}};
}

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> made;
  for (const auto value : values)
    made.push_back(static_cast<std::byte>(value));
  return made;
}

} // namespace

TEST_CASE("control entries have the layout of their header") {
  CHECK(encode(control_batch{}) == bytes_of({1, 1}));
  const auto members = bytes_of({2, 1, 3, 1, 1, 0, 2, 0, 4, 3, 9, 0});
  CHECK(encode(control_batch{some()}) == members);
  CHECK(decode_control(members)->members == some());
  CHECK_FALSE(decode_control(bytes_of({1, 1}))->members.has_value());
}

TEST_CASE("a control entry that is none is refused") {
  const auto code = [](std::initializer_list<int> values) {
    return decode_control(bytes_of(values)).error().code;
  };
  CHECK(code({}) == errc::bad_format);
  CHECK(code({1}) == errc::bad_format);
  CHECK(code({1, 1, 0}) == errc::bad_format);
  CHECK(code({3, 1}) == errc::unsupported);
  CHECK(code({1, 2}) == errc::unsupported);
  CHECK(code({2, 1}) == errc::bad_format);
  CHECK(code({2, 1, 1, 0, 1}) == errc::bad_format);          // half a number
  CHECK(code({2, 1, 1, 0, 1, 0, 0}) == errc::bad_format);    // something behind
  CHECK(code({2, 1, 0, 1, 1, 0}) == errc::bad_format);       // nobody votes
  CHECK(code({2, 1, 2, 0, 2, 0, 1, 0}) == errc::bad_format); // not ascending
  CHECK(code({2, 1, 1, 1, 1, 0, 1, 0}) == errc::bad_format); // both
  CHECK(code({2, 1, 255, 255}) == errc::bad_format);
  const auto good = encode(control_batch{some()});
  for (std::size_t length = 0; length < good.size(); ++length)
    CHECK_FALSE(decode_control(byte_view{good}.first(length)));
}
