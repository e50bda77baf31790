#include "client/topic_file.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

#include "wire/checksum.hpp"

using namespace lance;
using namespace lance::client;

namespace {

struct batch {
  wire::batch_entry entry;
  std::vector<std::byte> payload;
};

std::vector<batch> batches_of(const std::vector<std::size_t>& sizes) {
  std::vector<batch> all;
  byte_offset offset{1000};
  record_number record{50};
  for (const auto size : sizes) {
    batch one{{offset, record, 77 + offset.value, 3, static_cast<std::uint32_t>(size)},
              std::vector<std::byte>(size, static_cast<std::byte>(size))};
    offset.value += size;
    record.value += 3;
    all.push_back(std::move(one));
  }
  return all;
}

std::vector<std::byte> written(const std::vector<batch>& all) {
  std::vector<std::byte> file;
  topic_file_writer writer{[&](byte_view bytes) {
    file.insert(file.end(), bytes.begin(), bytes.end());
    return result<>{};
  }};
  REQUIRE(writer.begin(R"({"topic":"t"})"));
  byte_offset end{1000};
  record_number record{50};
  for (const auto& one : all) {
    REQUIRE(writer.add({one.entry, one.payload}));
    end = byte_offset{one.entry.offset.value + one.entry.payload_length};
    record = record_number{one.entry.first_record.value + one.entry.record_count};
  }
  REQUIRE(writer.end(end, record));
  CHECK(writer.batches() == all.size());
  return file;
}

topic_file_reader::source pieces_of(const std::vector<std::byte>& file, std::size_t& at,
                                    std::size_t most) {
  return [&file, &at, most](byte_span into) -> result<std::size_t> {
    const auto some = std::min({into.size(), most, file.size() - at});
    std::copy_n(file.begin() + static_cast<long>(at), some, into.begin());
    at += some;
    return some;
  };
}

// The problem of a file; empty when it is whole.
std::string problem_of(const std::vector<std::byte>& file, std::uint64_t* place = nullptr) {
  std::size_t at = 0;
  topic_file_reader reader{pieces_of(file, at, 1 * MiB)};
  const auto finish = [&] {
    if (place != nullptr)
      *place = reader.position();
    return reader.problem();
  };
  if (!reader.begin())
    return finish();
  while (true) {
    const auto next = reader.next();
    if (!next || !*next)
      return finish();
  }
}

} // namespace

TEST_CASE("an exported topic comes back batch by batch, in pieces of any size", "[topic_file]") {
  const auto all = batches_of({10, 0, 5000, 1});
  const auto file = written(all);
  for (const std::size_t most : {std::size_t{1}, std::size_t{7}, 1 * MiB}) {
    std::size_t at = 0;
    topic_file_reader reader{pieces_of(file, at, most)};
    CHECK(reader.begin() == R"({"topic":"t"})");
    for (const auto& one : all) {
      const auto next = reader.next();
      REQUIRE(next);
      REQUIRE(*next);
      CHECK((*next)->entry == one.entry);
      CHECK(std::equal((*next)->payload.begin(), (*next)->payload.end(), one.payload.begin(),
                       one.payload.end()));
    }
    const auto last = reader.next();
    REQUIRE(last);
    CHECK_FALSE(*last);
    CHECK(reader.finish() == topic_file_end{byte_offset{6011}, record_number{62}, 4});
  }
  CHECK(problem_of(written({})).empty());
}

TEST_CASE("the bytes are those that the page says", "[topic_file]") {
  const auto file = written(batches_of({2}));
  REQUIRE(file.size() == 16 + 13 + 44 + 2 + 44);
  CHECK(as_text(byte_view{file}.first(6)) == "LNCTOP");
  CHECK(load_le<std::uint32_t>(file.data() + 8) == 13);
  const auto* piece = file.data() + 29;
  CHECK(load_le<std::uint32_t>(piece) == 1);
  CHECK(load_le<std::uint32_t>(piece + 4) == 2);
  CHECK(load_le<std::uint32_t>(piece + 8) == 3);
  CHECK(load_le<std::uint64_t>(piece + 16) == 1000);
  CHECK(load_le<std::uint64_t>(piece + 24) == 50);
  CHECK(load_le<std::uint64_t>(piece + 32) == 1077);
  std::vector<std::byte> summed(file.begin() + 12, file.begin() + 16);
  summed.insert(summed.end(), piece, piece + 40);
  summed.insert(summed.end(), piece + 44, piece + 46);
  CHECK(load_le<std::uint32_t>(piece + 40) ==
        wire::checksum(wire::checksum_kind::castagnoli, summed));
  CHECK(load_le<std::uint32_t>(piece + 46) == 2);
}

TEST_CASE("every single bit that turns is noticed", "[topic_file]") {
  auto file = written(batches_of({10, 200, 0, 30}));
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    file[bit / 8] ^= std::byte{1} << bit % 8;
    INFO("bit " << bit);
    CHECK_FALSE(problem_of(file).empty());
    file[bit / 8] ^= std::byte{1} << bit % 8;
  }
  CHECK(problem_of(file).empty());
}

TEST_CASE("a file that was cut anywhere says where it ends", "[topic_file]") {
  const auto whole = written(batches_of({10, 200, 0, 30}));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::vector<std::byte> file(whole.begin(), whole.begin() + static_cast<long>(size));
    CHECK(problem_of(file) == "the file ends early, at byte " + std::to_string(size));
  }
}

TEST_CASE("missing, doubled and added pieces are noticed", "[topic_file]") {
  const auto whole = written(batches_of({10, 10, 10}));
  const auto begin = whole.begin() + 29;
  auto file = whole;
  file.erase(file.begin() + 29 + 54, file.begin() + 29 + 108);
  std::uint64_t place = 0;
  CHECK(problem_of(file, &place) == "batch 2 does not verify");
  CHECK(place == 29 + 54);
  file = whole;
  file.insert(file.begin() + 29, begin, begin + 54);
  CHECK(problem_of(file) == "batch 2 does not verify");
  file = whole;
  file.push_back(std::byte{0});
  CHECK(problem_of(file, &place) == "something follows its end");
  CHECK(place == whole.size());
}
