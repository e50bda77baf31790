#include "wire/policy.hpp"

#include <catch2/catch.hpp>

using namespace lance::wire;

TEST_CASE("policy words are read as they are written") {
  for (const auto mode : {ack_mode::l1, ack_mode::l2})
    CHECK(parse_ack_mode(to_text(mode)) == mode);
  for (const auto level : {durability::fsync, durability::written, durability::memory})
    CHECK(parse_durability(to_text(level)) == level);
}

TEST_CASE("L3 is read as L2, and nothing else is a mode") {
  CHECK(parse_ack_mode("L3") == ack_mode::l2);
  CHECK(parse_ack_mode("l1") == ack_mode::l1);
  for (const auto* bad : {"", "L0", "L4", "l", "L1 ", "quorum"})
    CHECK_FALSE(parse_ack_mode(bad));
  for (const auto* bad : {"", "Fsync", "none"})
    CHECK_FALSE(parse_durability(bad));
}
