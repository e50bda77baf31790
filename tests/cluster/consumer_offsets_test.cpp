// The consumers' book against lwp.md's table of Subscribe, Unsubscribe and CommitOffset.
#include "cluster/consumer_offsets.hpp"

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"

using namespace lance;
using namespace lance::cluster;

namespace {

constexpr log_id orders{1};
constexpr log_id bills{2};
constexpr byte_offset end{500};

void commit(consumer_offsets& book, log_id log, std::uint64_t consumer, std::uint64_t offset) {
  const auto planned = book.plan_commit(log, consumer, byte_offset{offset});
  REQUIRE(planned);
  REQUIRE(book.apply(*planned));
}

std::uint64_t start_of(consumer_offsets& book, log_id log, std::uint64_t consumer,
                       std::uint64_t requested) {
  const auto start = book.subscribe(log, consumer, byte_offset{requested}, end);
  REQUIRE(start);
  CHECK(book.position(log, consumer) == start.value());
  return start->value;
}

consumer_offsets rebuilt(const consumer_offsets& from) {
  consumer_offsets book;
  for (const auto& bytes : from.snapshot()) {
    const auto entry = decode_offset(bytes);
    REQUIRE(entry);
    REQUIRE(book.apply(*entry));
  }
  return book;
}

} // namespace

TEST_CASE("subscribe at 0 starts at the committed offset, else at 0") {
  consumer_offsets book;
  CHECK(start_of(book, orders, 7, 0) == 0);
  commit(book, orders, 7, 42);
  CHECK(start_of(book, orders, 7, 0) == 42);
  CHECK(start_of(book, orders, 8, 0) == 0);
  CHECK(start_of(book, bills, 7, 0) == 0);
}

TEST_CASE("subscribe at the highest offset starts at the end, whatever was committed") {
  consumer_offsets book;
  CHECK(start_of(book, orders, 7, ~0ULL) == 500);
  commit(book, orders, 7, 42);
  CHECK(start_of(book, orders, 7, ~0ULL) == 500);
}

TEST_CASE("subscribe anywhere else starts there, even past the end") {
  consumer_offsets book;
  commit(book, orders, 7, 42);
  for (const std::uint64_t offset : {1ULL, 499ULL, 500ULL, 501ULL, ~0ULL - 1})
    CHECK(start_of(book, orders, 7, offset) == offset);
}

TEST_CASE("commits need no subscription and may go back") {
  consumer_offsets book;
  for (const std::uint64_t offset : {5ULL, 9ULL, 3ULL, 0ULL, ~0ULL, 6ULL}) {
    commit(book, orders, 7, offset);
    CHECK(book.committed(orders, 7) == byte_offset{offset});
  }
  CHECK_FALSE(book.position(orders, 7));
  CHECK(book.committed_count() == 1);
}

TEST_CASE("planning a commit changes nothing") {
  const consumer_offsets book;
  REQUIRE(book.plan_commit(orders, 7, byte_offset{1}));
  CHECK_FALSE(book.committed(orders, 7));
}

TEST_CASE("unsubscribe forgets the position and keeps the committed offset") {
  consumer_offsets book;
  book.unsubscribe(orders, 7); // nothing was subscribed
  commit(book, orders, 7, 42);
  start_of(book, orders, 7, 100);
  book.unsubscribe(orders, 7);
  CHECK_FALSE(book.position(orders, 7));
  CHECK(start_of(book, orders, 7, 0) == 42);
}

TEST_CASE("a log that goes away takes all its consumers with it, and only its own") {
  consumer_offsets book;
  for (const std::uint64_t consumer : {std::uint64_t{0}, std::uint64_t{9}, ~std::uint64_t{0}})
    for (const auto log : {log_id{0}, orders, bills}) {
      commit(book, log, consumer, 3);
      start_of(book, log, consumer, 4);
    }
  REQUIRE(book.apply(offsets_dropped{orders}));
  CHECK(book.committed_count() == 6);
  CHECK(book.position_count() == 6);
  for (const std::uint64_t consumer : {std::uint64_t{0}, std::uint64_t{9}, ~std::uint64_t{0}}) {
    CHECK_FALSE(book.committed(orders, consumer));
    CHECK_FALSE(book.position(orders, consumer));
    CHECK(book.committed(log_id{0}, consumer) == byte_offset{3});
    CHECK(book.position(bills, consumer) == byte_offset{4});
  }
}

TEST_CASE("a full book refuses new consumers and serves the known ones") {
  consumer_offsets book{2, 2};
  commit(book, orders, 1, 1);
  commit(book, orders, 2, 1);
  CHECK(book.plan_commit(orders, 3, byte_offset{1}).error().code == errc::throttled);
  CHECK(book.apply(offset_committed{orders, 3, byte_offset{1}}).error().code == errc::throttled);
  commit(book, orders, 2, 8);
  CHECK(book.committed(orders, 2) == byte_offset{8});

  start_of(book, orders, 1, 5);
  start_of(book, orders, 2, 5);
  CHECK(book.subscribe(orders, 3, byte_offset{5}, end).error().code == errc::throttled);
  start_of(book, orders, 1, 6);
  book.unsubscribe(orders, 1);
  start_of(book, orders, 3, 5);
}

TEST_CASE("golden bytes of the offset entries") {
  const auto raw = [](std::initializer_list<int> values) {
    std::vector<std::byte> bytes;
    for (const int value : values)
      bytes.push_back(static_cast<std::byte>(value));
    return bytes;
  };
  CHECK(encode(offset_committed{log_id{1}, 0x0203, byte_offset{0x0405}}) ==
        raw({1, 0x20, 1, 0, 0, 0, 3, 2, 0, 0, 0, 0, 0, 0, 5, 4, 0, 0, 0, 0, 0, 0}));
  CHECK(encode(offsets_dropped{log_id{6}}) == raw({1, 0x21, 6, 0, 0, 0}));
  CHECK(decode_offset(raw({2, 0x21, 6, 0, 0, 0})).error().code == errc::unsupported);
  CHECK(decode_offset(raw({1, 0x21, 6, 0, 0})).error().code == errc::bad_format);
  CHECK(decode_offset(raw({1, 0x21, 6, 0, 0, 0, 0})).error().code == errc::bad_format);
  CHECK(decode_offset(raw({1, 0x20, 6, 0, 0, 0})).error().code == errc::bad_format);
  CHECK(decode_offset(raw({1, 0x02, 6, 0, 0, 0})).error().code == errc::bad_format);
  CHECK(decode_offset({}).error().code == errc::bad_format);
}

TEST_CASE("whatever is decoded as an offset entry encodes to the same bytes") {
  wire::test::random_source random{"offset entries"};
  std::size_t accepted = 0;
  for (int round = 0; round < 10'000; ++round) {
    auto bytes = random.up_to(1) == 0
                     ? encode(offset_committed{orders, random.up_to(99), byte_offset{1}})
                     : encode(offsets_dropped{orders});
    random.mutate(bytes);
    const wire::test::exact_copy input{bytes};
    if (const auto entry = decode_offset(input.view())) {
      ++accepted;
      CHECK(encode(*entry) == bytes);
    }
  }
  CHECK(accepted > 0);
}

TEST_CASE("random books: replay and snapshot give the same committed offsets") {
  wire::test::random_source random{"consumer books"};
  consumer_offsets book;
  consumer_offsets replayed;
  for (int step = 0; step < 2000; ++step) {
    const log_id log{static_cast<std::uint32_t>(random.up_to(3))};
    const auto planned = random.up_to(40) == 0 ? result<offset_entry>{offsets_dropped{log}}
                                               : book.plan_commit(log, random.up_to(10),
                                                                  byte_offset{random.up_to(9)});
    REQUIRE(planned);
    REQUIRE(book.apply(*planned));
    REQUIRE(replayed.apply(*decode_offset(encode(*planned))));
    REQUIRE(book == replayed);
    REQUIRE(rebuilt(book) == book);
    REQUIRE(rebuilt(book).snapshot() == book.snapshot());
  }
}

TEST_CASE("a snapshot after any part of its history gives the whole book") {
  wire::test::random_source random{"consumer book suffixes"};
  consumer_offsets book;
  std::vector<offset_entry> log;
  for (int step = 0; step < 200; ++step) {
    const log_id in{static_cast<std::uint32_t>(random.up_to(3))};
    log.push_back(
        random.up_to(20) == 0
            ? offset_entry{offsets_dropped{in}}
            : offset_entry{offset_committed{in, random.up_to(10), byte_offset{random.up_to(99)}}});
    REQUIRE(book.apply(log.back()));
  }
  for (std::size_t cut = 0; cut <= log.size(); ++cut) {
    consumer_offsets resumed;
    for (std::size_t at = cut; at < log.size(); ++at)
      REQUIRE(resumed.apply(log[at]));
    for (const auto& bytes : book.snapshot())
      REQUIRE(resumed.apply(*decode_offset(bytes)));
    REQUIRE(resumed == book);
  }
}
