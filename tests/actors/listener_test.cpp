#include "actors/listener.hpp"

#include <cerrno>
#include <chrono>
#include <thread>

#include <unistd.h>

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::actors;

TEST_CASE("a port that somebody is just leaving is waited for, one that is kept is not for ever",
          "[listener]") {
  std::string explanation;
  const auto first = listen_on("127.0.0.1:0", false, explanation);
  REQUIRE(first);
  SECTION("left") {
    std::thread leaving{[descriptor = first->descriptor] {
      std::this_thread::sleep_for(std::chrono::milliseconds{200});
      ::close(descriptor);
    }};
    const auto second = listen_on(first->address, false, explanation);
    leaving.join();
    REQUIRE(second);
    CHECK(second->address == first->address);
    ::close(second->descriptor);
  }
  SECTION("kept") {
    const auto second = listen_on(first->address, false, explanation);
    REQUIRE_FALSE(second);
    CHECK(second.error() == error{errc::io_failed, EADDRINUSE});
    CHECK(explanation.find("is another broker running?") != std::string::npos);
    ::close(first->descriptor);
  }
}

TEST_CASE("an address that is none is refused with a sentence", "[listener]") {
  std::string explanation;
  const auto found = listen_on("here", false, explanation);
  REQUIRE_FALSE(found);
  CHECK(found.error().code == errc::bad_config);
  CHECK(explanation.find("write host:port") != std::string::npos);
}
