#include "client/record_walker.hpp"

#include <random>

#include <catch2/catch.hpp>

#include "tests/client/fake_server.hpp"

using namespace lance;
using namespace lance::client;
using namespace lance::client::testing;

namespace {

std::vector<record> all(record_walker& walker) {
  std::vector<record> records;
  while (true) {
    const auto found = walker.next();
    REQUIRE(found);
    if (!*found)
      return records;
    records.push_back(**found);
  }
}

std::vector<std::string> values(const std::vector<record>& records) {
  std::vector<std::string> texts;
  for (const auto& one : records)
    texts.emplace_back(as_text(one.value));
  return texts;
}

struct fed_batches {
  std::vector<std::byte> bytes;
  record_walker walker;

  fed_batches(framing form, byte_offset from, const std::vector<stored_batch>& batches,
              record_number from_record = {})
      : walker(form) {
    const auto& last = batches.back();
    const byte_offset next{last.entry.offset.value + last.payload.size()};
    bytes = batches_reply(next, next, batches);
    walker.start_at(from, from_record);
    walker.feed(*wire::batches_view::decode(bytes));
  }
};

const stored_batch first = batch_of(byte_offset{100}, record_number{7}, {"a", "bb"}, 5); // 13 bytes
const stored_batch second = batch_of(byte_offset{113}, record_number{9}, {"ccc"}, 6);

} // namespace

TEST_CASE("batches become records with offset, number and time") {
  fed_batches given{framing::records, byte_offset{100}, {first, second}};
  const auto records = all(given.walker);
  REQUIRE(values(records) == std::vector<std::string>{"a", "bb", "ccc"});
  CHECK(records[1].offset == byte_offset{106});
  CHECK(records[1].number == record_number{8});
  CHECK(records[1].time_ns == 5);
  CHECK(records[2].offset == byte_offset{113});
  CHECK(records[2].number == record_number{9});
  CHECK(given.walker.position() == byte_offset{121});
}

TEST_CASE("records before the start in a batch that holds it are passed over") {
  fed_batches by_offset{framing::records, byte_offset{106}, {first, second}};
  CHECK(values(all(by_offset.walker)) == std::vector<std::string>{"bb", "ccc"});
  fed_batches inside{framing::records, byte_offset{101}, {first, second}};
  CHECK(values(all(inside.walker)) == std::vector<std::string>{"bb", "ccc"});
  fed_batches by_number{framing::records, byte_offset{100}, {first, second}, record_number{8}};
  CHECK(values(all(by_number.walker)) == std::vector<std::string>{"bb", "ccc"});
}

TEST_CASE("the position is where the next record begins") {
  fed_batches given{framing::records, byte_offset{100}, {first, second}};
  REQUIRE(*given.walker.next());
  CHECK(given.walker.position() == byte_offset{106});
}

TEST_CASE("a payload that is not made of records is one raw record") {
  stored_batch opaque;
  const std::string text = "glued lines\nof somebody else\n";
  opaque.payload.assign(as_bytes(text).begin(), as_bytes(text).end());
  opaque.entry = {byte_offset{0}, record_number{0}, 3, 2, static_cast<std::uint32_t>(text.size())};
  fed_batches given{framing::records, byte_offset{0}, {opaque}};
  const auto records = all(given.walker);
  REQUIRE(values(records) == std::vector<std::string>{text});
  CHECK(records[0].type == record_type::raw);
  CHECK(records[0].number == record_number{0});

  fed_batches cut{framing::records, byte_offset{6}, {opaque}};
  const auto rest = all(cut.walker);
  REQUIRE(values(rest) == std::vector<std::string>{text.substr(6)});
  CHECK(rest[0].offset == byte_offset{6});
}

TEST_CASE("records are not numbered when the batch counts otherwise") {
  auto miscounted = first;
  miscounted.entry.record_count = 1;
  fed_batches given{framing::records, byte_offset{100}, {miscounted}};
  const auto records = all(given.walker);
  REQUIRE(records.size() == 2);
  CHECK_FALSE(records[0].number);
}

TEST_CASE("raw framing takes nothing apart") {
  fed_batches given{framing::raw, byte_offset{100}, {first, second}};
  const auto records = all(given.walker);
  REQUIRE(records.size() == 2);
  CHECK(as_text(records[0].value) == as_text(first.payload));
}

TEST_CASE("a stream cut anywhere gives the same records") {
  const std::uint64_t seed = 77;
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  std::vector<std::string> sent;
  for (int n = 0; n < 200; ++n)
    sent.emplace_back(random() % 90, static_cast<char>('a' + n % 26));
  const auto stream = framed(sent);

  record_walker walker{framing::records};
  walker.start_at(byte_offset{5000});
  std::vector<std::string> got;
  byte_view rest{stream};
  std::uint64_t at = 5000;
  while (!rest.empty()) {
    const auto piece = rest.first(std::min<std::size_t>(rest.size(), 1 + random() % 50));
    walker.feed_stream(byte_offset{at}, piece);
    for (const auto& one : all(walker)) {
      CHECK_FALSE(one.number);
      got.emplace_back(as_text(one.value));
    }
    CHECK(walker.position() <= walker.fed());
    at += piece.size();
    rest = rest.subspan(piece.size());
  }
  CHECK(got == sent);
  CHECK(walker.position() == byte_offset{at});
}

TEST_CASE("a gap in the stream drops the unfinished record") {
  const auto bytes = framed({"whole", "torn by retention"});
  record_walker walker{framing::records};
  walker.start_at(byte_offset{0});
  walker.feed_stream(byte_offset{0}, byte_view{bytes}.first(15));
  CHECK(values(all(walker)) == std::vector<std::string>{"whole"});
  walker.feed_stream(byte_offset{1000}, byte_view{bytes}.first(10));
  const auto records = all(walker);
  REQUIRE(values(records) == std::vector<std::string>{"whole"});
  CHECK(records[0].offset == byte_offset{1000});
}

TEST_CASE("bytes that announce an impossible record are told, not waited for") {
  record_walker walker{framing::records};
  walker.start_at(byte_offset{0});
  walker.feed_stream(byte_offset{0}, as_bytes("\x01\xff\xff\xff\xff"));
  const auto found = walker.next();
  REQUIRE_FALSE(found);
  CHECK(found.error().code == errc::bad_format);
}
