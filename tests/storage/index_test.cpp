#include "storage/index.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::storage;

namespace {

// Batches of 100 bytes and 10 records, one per 1000 ns; every fifth is a control batch.
index_entry entry_at(std::size_t i) {
  const auto controls = (i + 4) / 5; // among the i before
  const auto normal = i - controls;
  index_entry entry;
  entry.control = i % 5 == 0;
  entry.key = wire::sort_key::make(1000 + i * 1000, node_id{1}, 0, 0);
  entry.offset = byte_offset{500 + normal * 100};
  entry.position = static_cast<std::uint32_t>(i * 212);
  entry.payload_length = 100;
  entry.first_record = record_number{50 + normal * 10};
  entry.record_count = entry.control ? 0 : 10;
  entry.header_crc = static_cast<std::uint32_t>(i * 7919);
  entry.in_term = term{1 + i / 1000};
  entry.append_time_ns = 1000 + i * 1000;
  return entry;
}

constexpr std::size_t many = 3 * active_index::block_entries + 17;

std::vector<std::byte> whole_file(std::size_t count) {
  std::vector<std::byte> file(index_header_bytes + count * index_entry_bytes);
  encode(index_header{log_id{7}, batch_number{1}, byte_offset{500}, record_number{50}, 1000, 0},
         file.data());
  for (std::size_t i = 0; i < count; ++i)
    encode(entry_at(i), file.data() + index_header_bytes + i * index_entry_bytes);
  return file;
}

} // namespace

TEST_CASE("index entries and headers come back as written", "[index]") {
  std::array<std::byte, index_entry_bytes> bytes{};
  for (const std::size_t i : {0U, 1U, 999U}) {
    encode(entry_at(i), bytes.data());
    CHECK(decode_entry(bytes.data()) == entry_at(i));
  }
  const index_header header{log_id{7}, batch_number{8}, byte_offset{9}, record_number{10}, 11, 12};
  std::array<std::byte, index_header_bytes> head{};
  encode(header, head.data());
  REQUIRE(decode_index_header(head));
  CHECK(*decode_index_header(head) == header);
  for (std::size_t i = 0; i < head.size(); ++i) {
    auto broken = head;
    broken[i] ^= std::byte{0x10};
    INFO(i);
    CHECK_FALSE(decode_index_header(broken));
  }
  CHECK(decode_index_header(byte_view{head}.first(63)).error().code == errc::incomplete);
}

TEST_CASE("searches in the index find what a walk finds", "[index]") {
  active_index index;
  for (std::size_t i = 0; i < many; ++i)
    index.add(entry_at(i));
  const auto file = whole_file(many);
  const encoded_index same{byte_view{file}.subspan(index_header_bytes)};
  REQUIRE(same.size() == many);

  for (const index_view* view :
       {static_cast<const index_view*>(&index), static_cast<const index_view*>(&same)}) {
    for (std::size_t i = 0; i < many; i += 3) {
      const auto entry = entry_at(i);
      CHECK(view->entry(i) == entry);
      CHECK(view->find_time(entry.append_time_ns) == i);
      CHECK(view->find_time(entry.append_time_ns - 1) == i);
      if (entry.control)
        continue;
      CHECK(view->find_offset(entry.offset) == i);
      CHECK(view->find_offset(byte_offset{entry.offset.value + 99}) == i);
      CHECK(view->find_record(entry.first_record) == i);
      CHECK(view->find_record(record_number{entry.first_record.value + 9}) == i);
    }
    const auto last = entry_at(many - 1);
    CHECK_FALSE(view->find_offset(byte_offset{499}));
    CHECK_FALSE(view->find_offset(last.end_offset()));
    CHECK_FALSE(view->find_record(record_number{49}));
    CHECK_FALSE(view->find_record(last.end_record()));
    CHECK_FALSE(view->find_time(last.append_time_ns + 1));
    CHECK(view->find_time(0) == 0U);
  }
}

TEST_CASE("encoded entries of the growing index are the file's", "[index]") {
  active_index index;
  for (std::size_t i = 0; i < many; ++i)
    index.add(entry_at(i));
  const auto file = whole_file(many);
  std::vector<std::byte> gathered;
  for (std::size_t at = 5; at < many;) {
    const auto piece = index.encoded(at, many);
    gathered.insert(gathered.end(), piece.begin(), piece.end());
    at += piece.size() / index_entry_bytes;
  }
  CHECK(std::equal(gathered.begin(), gathered.end(),
                   file.begin() + index_header_bytes + 5 * index_entry_bytes, file.end()));
  index.clear();
  CHECK(index.size() == 0);
}

TEST_CASE("an index is believed as far as its entries follow from one another", "[index]") {
  const auto whole = whole_file(40);
  const auto header = *decode_index_header(whole);
  CHECK(coherent_entries(whole, header) == 40);
  CHECK(coherent_entries(byte_view{whole}.first(whole.size() - 1), header) == 39);
  const auto with = [&](std::size_t entry, std::size_t at, std::uint8_t bits) {
    auto broken = whole;
    broken[index_header_bytes + entry * index_entry_bytes + at] ^= static_cast<std::byte>(bits);
    return coherent_entries(broken, header);
  };
  CHECK(with(20, 16, 1) == 20);    // offset
  CHECK(with(20, 24, 1) == 20);    // position
  CHECK(with(21, 28, 1) == 22);    // length: the next does not follow
  CHECK(with(20, 32, 1) == 20);    // record
  CHECK(with(21, 40, 1) == 22);    // record count
  CHECK(with(0, 44, 1) == 0);      // the header repeats the first header_crc
  CHECK(with(20, 63, 0x80) == 21); // time
  auto zeroed = whole;
  std::fill(zeroed.begin() + index_header_bytes + 10 * index_entry_bytes, zeroed.end(),
            std::byte{0});
  CHECK(coherent_entries(zeroed, header) == 10);
}

TEST_CASE("an index whose numbers run over is not believed", "[index]") {
  const bool of_records = GENERATE(false, true);
  constexpr auto almost = ~std::uint64_t{0} - 5; // the second entry would begin behind 2^64
  auto file = whole_file(2);
  auto first = entry_at(1);
  auto second = entry_at(2);
  first.position = 0;
  second.position = static_cast<std::uint32_t>(first.file_end());
  (of_records ? first.first_record.value : first.offset.value) = almost;
  second.first_record = first.end_record();
  second.offset = first.end_offset();
  const index_header header{log_id{7},          batch_number{1},      first.offset,
                            first.first_record, first.append_time_ns, first.header_crc};
  encode(header, file.data());
  encode(first, file.data() + index_header_bytes);
  encode(second, file.data() + index_header_bytes + index_entry_bytes);
  CHECK(coherent_entries(file, header) == 0);
}
