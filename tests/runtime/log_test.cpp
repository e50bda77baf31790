#include "runtime/log.hpp"

#include <catch2/catch.hpp>

#include <cstdio>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

using namespace lance::runtime;

namespace {

// Everything the process writes to stderr while it lives.
class captured_stderr {
 public:
  captured_stderr() : file_(std::tmpfile()), saved_(::dup(2)) { ::dup2(::fileno(file_), 2); }
  ~captured_stderr() {
    restore();
    std::fclose(file_);
  }
  std::vector<std::string> lines() {
    restore();
    std::rewind(file_);
    std::vector<std::string> all{""};
    for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_)) {
      if (c == '\n')
        all.emplace_back();
      else
        all.back() += static_cast<char>(c);
    }
    CHECK(all.back().empty()); // the last line is whole
    all.pop_back();
    return all;
  }

 private:
  void restore() {
    if (saved_ < 0)
      return;
    std::fflush(stderr);
    ::dup2(saved_, 2);
    ::close(saved_);
    saved_ = -1;
  }
  std::FILE* file_;
  int saved_;
};

std::string text(std::initializer_list<log_field> fields) {
  return log_line(log_format::text, log_level::info, "tested", fields);
}
std::string json(std::initializer_list<log_field> fields) {
  return log_line(log_format::json, log_level::info, "tested", fields);
}

} // namespace

TEST_CASE("a line names level, event and fields in both formats") {
  const std::initializer_list<log_field> fields{
      {"address", "127.0.0.1:1992"}, {"port", 1992}, {"below", -7}, {"large", ~0ULL}, {"on", true}};
  CHECK(log_line(log_format::text, log_level::warning, "listening", fields) ==
        "level=warning event=listening address=127.0.0.1:1992 port=1992 below=-7 "
        "large=18446744073709551615 on=true");
  CHECK(log_line(log_format::json, log_level::warning, "listening", fields) ==
        R"("level":"warning","event":"listening","address":"127.0.0.1:1992","port":1992,)"
        R"("below":-7,"large":18446744073709551615,"on":true)");
}

TEST_CASE("what would break a line or a parser is quoted and escaped") {
  CHECK(text({{"a", ""}}) == R"(level=info event=tested a="")");
  CHECK(text({{"a", "two words"}}) == R"(level=info event=tested a="two words")");
  CHECK(text({{"a", "x=y"}}) == R"(level=info event=tested a="x=y")");
  CHECK(text({{"a", "say \"no\" \\ yes"}}) == R"(level=info event=tested a="say \"no\" \\ yes")");
  CHECK(text({{"a", "one\ntwo\r\t\x01"}}) == R"(level=info event=tested a="one\ntwo\r\t\x01")");
  CHECK(json({{"a", "one\ntwo\r\t\x01\x7f"}}) ==
        R"("level":"info","event":"tested","a":"one\ntwo\r\t\u0001\u007f")");
  CHECK(text({{"a", std::string("\0", 1)}}) == R"(level=info event=tested a="\x00")");
}

TEST_CASE("text that is not UTF-8 still makes a valid line") {
  CHECK(text({{"a", "gr\xc3\xbc\xc3\x9f"}}) == "level=info event=tested a=\"gr\xc3\xbc\xc3\x9f\"");
  CHECK(text({{"a", "\xff\xc3"}}) == R"(level=info event=tested a="\xff\xc3")");
  CHECK(json({{"a", "x\xff"}}) ==
        "\"level\":\"info\",\"event\":\"tested\",\"a\":\"x\xef\xbf\xbd\"");
  // Overlong, surrogate, beyond the last code point: none is a character.
  for (const auto* bad : {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80\xaf"})
    CHECK(text({{"a", bad}}).find("\\x") != std::string::npos);
}

TEST_CASE("events below the level stay unsaid, and the format can be chosen") {
  captured_stderr capture;
  configure_log(log_level::warning, log_format::text);
  log(log_level::info, "quiet");
  log(log_level::error, "loud", {{"n", 1}});
  configure_log(log_level::debug, log_format::json);
  log(log_level::debug, "detail", {{"n", 2}});
  log(log_level::off, "never");
  configure_log(log_level::info, log_format::text);
  const auto lines = capture.lines();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].starts_with("time=2"));
  CHECK(lines[0].ends_with("Z level=error event=loud n=1"));
  CHECK(lines[1].starts_with(R"({"time":"2)"));
  CHECK(lines[1].ends_with(R"(Z","level":"debug","event":"detail","n":2})"));
}

TEST_CASE("lines of many threads never mix") {
  captured_stderr capture;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 200; ++i)
        log(log_level::info, "counted", {{"thread", t}, {"tail", "end"}});
    });
  for (auto& thread : threads)
    thread.join();
  const auto lines = capture.lines();
  CHECK(lines.size() == 800);
  for (const auto& line : lines) {
    CHECK(line.starts_with("time="));
    CHECK(line.ends_with(" tail=end"));
    CHECK(line.find("time=", 1) == std::string::npos);
  }
}
