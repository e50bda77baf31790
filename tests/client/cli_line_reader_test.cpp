#include "client/cli/line_reader.hpp"

#include <array>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>

#include <unistd.h>

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::client::cli;

namespace {

struct pipe_ends {
  pipe_ends() {
    if (::pipe(ends.data()) != 0)
      std::abort();
  }
  ~pipe_ends() {
    ::close(ends[0]);
    done();
  }
  void put(std::string_view text) {
    while (!text.empty()) {
      const auto written = ::write(ends[1], text.data(), text.size());
      if (written <= 0)
        return;
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  void done() {
    if (ends[1] >= 0)
      ::close(ends[1]);
    ends[1] = -1;
  }
  std::array<int, 2> ends{};
};

std::vector<std::string> lines_of(std::string_view text) {
  pipe_ends pipe;
  std::thread writer{[&] {
    pipe.put(text);
    pipe.done();
  }};
  line_reader reader{pipe.ends[0]};
  std::vector<std::string> lines;
  while (true) {
    const auto line = reader.next();
    if (!line || !*line)
      break;
    lines.emplace_back(as_text(**line));
  }
  writer.join();
  return lines;
}

using strings = std::vector<std::string>;

} // namespace

TEST_CASE("lines end with newlines, the last one may not") {
  CHECK(lines_of("") == strings{});
  CHECK(lines_of("\n") == strings{""});
  CHECK(lines_of("a\nb") == strings{"a", "b"});
  CHECK(lines_of("a\n\n  c \r\n") == strings{"a", "", "  c \r"});
}

TEST_CASE("lines longer than the buffer and many short ones come out whole") {
  const std::uint64_t seed = 5;
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  strings expected;
  std::string text;
  for (int n = 0; n < 3000; ++n) {
    const auto length = n % 1000 == 999 ? 2'500'000 : random() % 900;
    expected.emplace_back(length, static_cast<char>('a' + n % 26));
    text += expected.back() + "\n";
  }
  CHECK(lines_of(text) == expected);
}

TEST_CASE("a line is told as soon as it is there") {
  pipe_ends pipe;
  line_reader reader{pipe.ends[0]};
  pipe.put("first\nsec");
  CHECK(as_text(**reader.next()) == "first");
  pipe.put("ond\n");
  CHECK(as_text(**reader.next()) == "second");
  pipe.done();
  CHECK_FALSE(reader.next()->has_value());
}

TEST_CASE("a line that no frame could carry is too large") {
  pipe_ends pipe;
  std::thread writer{[&] {
    const std::string piece(1 * MiB, 'x');
    for (int n = 0; n < 20; ++n)
      pipe.put(piece);
    pipe.done();
  }};
  line_reader reader{pipe.ends[0]};
  const auto line = reader.next();
  REQUIRE_FALSE(line);
  CHECK(line.error().code == errc::too_large);
  std::array<std::byte, 65536> rest;
  while (::read(pipe.ends[0], rest.data(), rest.size()) > 0) {
  }
  writer.join();
}

TEST_CASE("what cannot be read is an error") {
  line_reader reader{-1};
  CHECK(reader.next().error().code == errc::io_failed);
}

TEST_CASE("raw input is read in whole pieces") {
  pipe_ends pipe;
  pipe.put("0123456789");
  pipe.done();
  line_reader reader{pipe.ends[0]};
  std::array<std::byte, 7> piece;
  CHECK(reader.fill(piece) == std::size_t{7});
  CHECK(reader.fill(piece) == std::size_t{3});
  CHECK(as_text(byte_view{piece}.first(3)) == "789");
  CHECK(reader.fill(piece) == std::size_t{0});
}
