#include "storage/votes.hpp"

#include <catch2/catch.hpp>

#include "sim_disk.hpp"

using namespace lance;
using namespace lance::storage;
using namespace lance::storage::testing;

namespace {

const std::string home = "data";
const std::string path = home + "/votes.log";

vote_row row(std::uint32_t log, std::uint64_t in_term, std::optional<std::uint16_t> vote = {}) {
  return {log_id{log}, term{in_term},
          vote ? std::optional{node_id{*vote}} : std::optional<node_id>{}};
}

std::vector<vote_row> some() {
  return {row(1, 1), row(7, 5, 2), row(9, ~std::uint64_t{0}, 65535)};
}

result<> save(vote_book& book, const vote_row& one) {
  return book.save(std::span{&one, 1});
}

} // namespace

TEST_CASE("votes.log has the layout of its page", "[votes]") {
  const auto rows = some();
  const auto bytes = encode_votes(rows);
  REQUIRE(bytes.size() == 16 + 3 * 16 + 4);
  CHECK(as_text(byte_view{bytes}.first(6)) == "LNCVOT");
  CHECK(bytes[7] == std::byte{1});
  CHECK(load_le<std::uint32_t>(bytes.data() + 8) == 3);
  const auto* second = bytes.data() + 32;
  CHECK(load_le<std::uint32_t>(second) == 7);
  CHECK(load_le<std::uint16_t>(second + 4) == 2);
  CHECK(load_le<std::uint8_t>(second + 6) == 1);
  CHECK(load_le<std::uint64_t>(second + 8) == 5);
  CHECK(*decode_votes(bytes) == rows);
  CHECK(decode_votes(encode_votes({}))->empty());
}

TEST_CASE("votes.log: every flipped bit and every wrong length is noticed", "[votes]") {
  const auto good = encode_votes(some());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    INFO("bit " << bit);
    CHECK_FALSE(decode_votes(bad));
  }
  for (std::size_t length = 0; length < good.size(); ++length)
    CHECK_FALSE(decode_votes(byte_view{good}.first(length)));
  auto longer = good;
  longer.resize(good.size() + 16);
  CHECK_FALSE(decode_votes(longer));
}

TEST_CASE("votes.log: rows out of order are no votes", "[votes]") {
  CHECK_FALSE(decode_votes(encode_votes(std::vector{row(7, 1), row(1, 1)})));
  CHECK_FALSE(decode_votes(encode_votes(std::vector{row(7, 1), row(7, 2)})));
}

TEST_CASE("a vote is given once", "[votes]") {
  sim_disk door;
  REQUIRE(door.make_directories(home));
  auto book = vote_book::open(door, home);
  REQUIRE(book);
  CHECK(book->find(log_id{7}) == nullptr);
  REQUIRE(save(*book, row(7, 5)));
  REQUIRE(save(*book, row(7, 5, 2)));
  CHECK(save(*book, row(7, 5, 2))); // said again
  CHECK(save(*book, row(7, 5, 3)).error().code == errc::invalid_request);
  CHECK(save(*book, row(7, 5)).error().code == errc::invalid_request);
  CHECK(save(*book, row(7, 4, 3)).error().code == errc::invalid_request);
  CHECK(*book->find(log_id{7}) == row(7, 5, 2));
  REQUIRE(save(*book, row(7, 6)));
  CHECK(*book->find(log_id{7}) == row(7, 6));
}

TEST_CASE("one refused row keeps the others of its write out", "[votes]") {
  sim_disk door;
  REQUIRE(door.make_directories(home));
  auto book = vote_book::open(door, home);
  REQUIRE(save(*book, row(7, 5, 2)));
  CHECK_FALSE(book->save(std::vector{row(1, 9), row(7, 5, 3)}));
  CHECK(book->find(log_id{1}) == nullptr);
  CHECK_FALSE(book->failed());
}

TEST_CASE("votes outlast a loss of power, and are forgotten with their log", "[votes]") {
  sim_disk door;
  REQUIRE(door.make_directories(home));
  {
    auto book = vote_book::open(door, home);
    REQUIRE(book->save(some()));
  }
  door.crash();
  auto book = vote_book::open(door, home);
  REQUIRE(book);
  CHECK(book->size() == 3);
  CHECK(*book->find(log_id{9}) == some()[2]);
  REQUIRE(book->forget(log_id{7}));
  REQUIRE(book->forget(log_id{8}));
  door.crash();
  book = vote_book::open(door, home);
  CHECK(book->find(log_id{7}) == nullptr);
  CHECK(book->size() == 2);
}

TEST_CASE("there is a bound to the logs of a node", "[votes]") {
  sim_disk door;
  REQUIRE(door.make_directories(home));
  auto book = vote_book::open(door, home);
  std::vector<vote_row> rows;
  for (std::uint32_t log = 0; log < vote_rows_max; ++log)
    rows.push_back(row(log, 1));
  REQUIRE(book->save(rows));
  CHECK(save(*book, row(vote_rows_max, 1)).error().code == errc::exhausted);
  CHECK(save(*book, row(3, 2, 1)));
  CHECK(vote_book::open(door, home)->size() == vote_rows_max);
}

TEST_CASE("a damaged votes.log opens for nobody and stays as it is", "[votes]") {
  sim_disk door;
  REQUIRE(door.make_directories(home));
  {
    auto book = vote_book::open(door, home);
    REQUIRE(book->save(some()));
  }
  door.overwrite(path, 20, as_bytes("x"));
  const auto found = door.content(path);
  for (int start = 0; start < 2; ++start) {
    CHECK(vote_book::open(door, home).error().code == errc::bad_format);
    door.crash();
    CHECK(door.content(path) == found);
  }
  door.overwrite(path, votes_bytes_max, as_bytes("longer than any"));
  CHECK(vote_book::open(door, home).error().code == errc::bad_format);
}

// Whatever a node answered before the power went, it knows afterwards; what it did not get to
// answer it may know or not, but whole.
TEST_CASE("votes.log: a loss of power at every step", "[votes]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    for (std::uint64_t step = 1; step <= 8; ++step) {
      INFO("seed " << seed << ", step " << step);
      sim_disk door{seed};
      REQUIRE(door.make_directories(home));
      auto book = vote_book::open(door, home);
      REQUIRE(save(*book, row(7, 5, 2)));
      door.die_in(step);
      const bool answered = save(*book, row(7, 6, 3)) && !door.dead();
      door.crash();
      const auto again = vote_book::open(door, home);
      REQUIRE(again);
      const auto* known = again->find(log_id{7});
      REQUIRE(known != nullptr);
      const bool now = *known == row(7, 6, 3);
      CHECK((now || (!answered && *known == row(7, 5, 2))));
      door.crash(); // and what one start has read, the next one reads
      CHECK((*vote_book::open(door, home)->find(log_id{7}) == row(7, 6, 3)) == now);
    }
}

TEST_CASE("after a failed write nothing is promised until the next start", "[votes]") {
  sim_disk door;
  REQUIRE(door.make_directories(home));
  auto book = vote_book::open(door, home);
  REQUIRE(save(*book, row(7, 5, 2)));
  door.faults.flush_in = 0;
  CHECK(save(*book, row(7, 6, 3)).error().code == errc::io_failed);
  CHECK(book->failed());
  CHECK(save(*book, row(7, 7)).error().code == errc::io_failed);
  CHECK(*book->find(log_id{7}) == row(7, 5, 2));
  door.crash();
  CHECK(*vote_book::open(door, home)->find(log_id{7}) == row(7, 5, 2));
}

// The name was changed in memory, its sync failed, the process goes on by a restart: what it reads
// then must not be taken away by the next loss of power.
TEST_CASE("what a start has read of votes.log is durable", "[votes]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    sim_disk door{seed};
    REQUIRE(door.make_directories(home));
    {
      auto book = vote_book::open(door, home);
      REQUIRE(save(*book, row(7, 5, 2)));
    }
    const auto newer = encode_votes(std::vector{row(7, 6, 3)});
    {
      auto file = door.open(home + "/other", {.create = true});
      REQUIRE((*file)->write_now(0, newer));
      REQUIRE((*file)->sync());
    }
    REQUIRE(door.rename(home + "/other", path)); // the directory is not synced
    CHECK(*vote_book::open(door, home)->find(log_id{7}) == row(7, 6, 3));
    door.crash();
    CHECK(*vote_book::open(door, home)->find(log_id{7}) == row(7, 6, 3));
  }
}
