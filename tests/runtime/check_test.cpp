#include "runtime/check.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

struct death {
  int status = 0;
  std::string words;
};

// Runs `deed` in a child process and tells how that ended.
death in_child(const std::function<void()>& deed) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL); // not Catch's handler
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::dup2(ends[1], 2);
    deed();
    ::_exit(0);
  }
  ::close(ends[1]);
  death end;
  char piece[256];
  for (auto n = ::read(ends[0], piece, sizeof piece); n > 0;
       n = ::read(ends[0], piece, sizeof piece))
    end.words.append(piece, static_cast<std::size_t>(n));
  ::close(ends[0]);
  ::waitpid(child, &end.status, 0);
  return end;
}

} // namespace

TEST_CASE("a kept promise costs nothing and says nothing") {
  const auto end = in_child([] { LANCE_CHECK(1 + 1 == 2, 1, 2); });
  CHECK(WIFEXITED(end.status));
  CHECK(WEXITSTATUS(end.status) == 0);
  CHECK(end.words.empty());
}

TEST_CASE("a broken promise ends the process and names place and values") {
  const auto end = in_child([] {
    const int have = 7;
    LANCE_CHECK(have < 3, have, -3);
  });
  REQUIRE(WIFSIGNALED(end.status));
  CHECK(WTERMSIG(end.status) == SIGABRT);
  CHECK(end.words.find("check_test.cpp:") != std::string::npos);
  CHECK(end.words.find("broken promise: have < 3 (values 7, -3)") != std::string::npos);
}
