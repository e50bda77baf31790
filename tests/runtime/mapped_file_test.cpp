#include "runtime/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::runtime;

namespace {

struct temporary {
  temporary() { descriptor = ::memfd_create("mapped", 0); }
  ~temporary() { ::close(descriptor); }
  temporary(const temporary&) = delete;
  temporary& operator=(const temporary&) = delete;
  void fill(std::size_t pages, char with) {
    const std::string page(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)), with);
    for (std::size_t i = 0; i < pages; ++i)
      REQUIRE(::pwrite(descriptor, page.data(), page.size(), static_cast<off_t>(i * page.size())) ==
              static_cast<ssize_t>(page.size()));
  }
  int descriptor;
};

const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));

bool all(byte_view bytes, std::byte what) {
  return std::ranges::all_of(bytes, [what](auto each) { return each == what; });
}

} // namespace

TEST_CASE("a file is seen as it is") {
  temporary file;
  file.fill(2, 'x');
  auto mapped = mapped_file::map(file.descriptor);
  REQUIRE(mapped);
  CHECK(mapped->bytes().size() == 2 * page_bytes);
  CHECK(all(mapped->bytes(), std::byte{'x'}));
  CHECK_FALSE(mapped->failed());
  const auto moved = std::move(*mapped);
  CHECK(moved.bytes().size() == 2 * page_bytes);
}

TEST_CASE("an empty file is no bytes") {
  temporary file;
  const auto mapped = mapped_file::map(file.descriptor);
  REQUIRE(mapped);
  CHECK(mapped->bytes().empty());
  CHECK_FALSE(mapped->failed());
}

TEST_CASE("a page that cannot be had is zeros, and said to be") {
  temporary file;
  file.fill(3, 'x');
  const auto mapped = mapped_file::map(file.descriptor);
  const auto other = mapped_file::map(file.descriptor);
  REQUIRE(mapped);
  REQUIRE(other);
  REQUIRE(::ftruncate(file.descriptor, static_cast<off_t>(page_bytes)) == 0);
  CHECK(all(mapped->bytes().first(page_bytes), std::byte{'x'}));
  CHECK_FALSE(mapped->failed());
  CHECK(all(mapped->bytes().subspan(page_bytes), std::byte{0}));
  CHECK(mapped->failed());
  CHECK_FALSE(other->failed()); // it did not look there
}

TEST_CASE("mappings come and go") {
  temporary file;
  file.fill(1, 'x');
  for (int round = 0; round < 3; ++round) {
    std::vector<mapped_file> many;
    for (int i = 0; i < 200; ++i) {
      auto mapped = mapped_file::map(file.descriptor);
      REQUIRE(mapped);
      many.push_back(std::move(*mapped));
    }
    for (const auto& each : many)
      REQUIRE(all(each.bytes(), std::byte{'x'}));
  }
}

TEST_CASE("a bad address of somebody else still ends the process") {
  temporary file;
  file.fill(1, 'x');
  const auto mapped = mapped_file::map(file.descriptor);
  REQUIRE(mapped);
  const auto child = ::fork();
  if (child == 0) {
    auto* memory = static_cast<volatile char*>(
        ::mmap(nullptr, page_bytes, PROT_READ, MAP_SHARED, file.descriptor, 0));
    (void)!::ftruncate(file.descriptor, 0);
    (void)memory[0];
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFSIGNALED(status) || WEXITSTATUS(status) != 0)); // a sanitizer may turn it into an exit
}
