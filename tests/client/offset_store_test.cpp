#include "client/offset_store.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "wire/consumer_id.hpp"

using namespace lance;
using namespace lance::client;
namespace fs = std::filesystem;

namespace {

struct temp_directory {
  temp_directory() {
    std::string pattern = (fs::temp_directory_path() / "lance-offsets-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~temp_directory() { fs::remove_all(path); }
  fs::path path;
};

std::string content(const fs::path& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

} // namespace

TEST_CASE("offsets are kept in memory") {
  memory_offset_store store;
  CHECK_FALSE(store.load(log_id{1})->has_value());
  REQUIRE(store.save(log_id{1}, byte_offset{5}));
  REQUIRE(store.save(log_id{1}, byte_offset{3}));
  CHECK(**store.load(log_id{1}) == byte_offset{3});
  CHECK_FALSE(store.load(log_id{2})->has_value());
}

TEST_CASE("offset files have the published client's place and form") {
  const temp_directory home;
  file_offset_store store{home.path.string(), "billing"};
  CHECK_FALSE(store.load(log_id{7})->has_value());
  CHECK(fs::is_empty(home.path)); // looking makes nothing
  REQUIRE(store.save(log_id{7}, byte_offset{18'446'744'073'709'551'615ULL}));
  const auto stem = home.path / "billing" /
                    ("topic-7-consumer-" + std::to_string(wire::consumer_id_of("billing")));
  CHECK(content(stem.string() + ".offset") == "18446744073709551615\n");
  CHECK(fs::exists(stem.string() + ".lock"));
  CHECK_FALSE(fs::exists(stem.string() + ".offset.tmp"));
  CHECK((**store.load(log_id{7})).value == 18'446'744'073'709'551'615ULL);
}

TEST_CASE("another store, another process: the offset is there") {
  const temp_directory home;
  REQUIRE(file_offset_store(home.path.string(), "c").save(log_id{1}, byte_offset{42}));
  CHECK(**file_offset_store(home.path.string(), "c").load(log_id{1}) == byte_offset{42});
  CHECK_FALSE(file_offset_store(home.path.string(), "d").load(log_id{1})->has_value());
}

TEST_CASE("a file that holds no offset is not taken for one") {
  const temp_directory home;
  file_offset_store store{home.path.string(), "c"};
  REQUIRE(store.save(log_id{1}, byte_offset{42}));
  for (const auto* text : {"", "x", "12x\n", "12\n\n", "-1\n", "99999999999999999999999\n",
                           "0001719231702455007769", "00017192317024550077696\n7"}) {
    std::ofstream{store.stem(log_id{1}) + ".offset"} << text;
    const auto loaded = store.load(log_id{1});
    INFO(text);
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().code == errc::bad_format);
  }
  std::ofstream{store.stem(log_id{1}) + ".offset"} << "12"; // a newline less is still a number
  CHECK(**store.load(log_id{1}) == byte_offset{12});
}

TEST_CASE("names that lead elsewhere are refused") {
  for (const auto* name : {"", ".", "..", "a/b"}) {
    file_offset_store store{"/nonexistent", name};
    CHECK(store.save(log_id{1}, byte_offset{}).error().code == errc::invalid_name);
    CHECK(store.load(log_id{1}).error().code == errc::invalid_name);
  }
}

TEST_CASE("a directory that cannot be written is a failure with the path") {
  file_offset_store store{"/proc/no-such-place", "c"};
  const auto saved = store.save(log_id{1}, byte_offset{1});
  REQUIRE_FALSE(saved);
  CHECK(saved.error().code == errc::io_failed);
  CHECK(saved.error().sentence.find("/proc/no-such-place") != std::string::npos);
}

TEST_CASE("writers take turns: the file is whole whoever wins") {
  const temp_directory home;
  std::vector<std::thread> writers;
  for (std::uint64_t writer = 1; writer <= 4; ++writer)
    writers.emplace_back([&, writer] {
      file_offset_store store{home.path.string(), "c"};
      for (int n = 0; n < 25; ++n)
        static_cast<void>(store.save(log_id{1}, byte_offset{writer * 1'000'000'007}));
    });
  for (auto& writer : writers)
    writer.join();
  const auto last = file_offset_store(home.path.string(), "c").load(log_id{1});
  REQUIRE(last);
  CHECK((**last).value % 1'000'000'007 == 0);
}
