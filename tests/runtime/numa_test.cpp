#include "runtime/numa.hpp"

#include <catch2/catch.hpp>

#include <array>

using namespace lance::runtime;

TEST_CASE("there is at least one memory node, and every CPU has one") {
  CHECK(numa_node_count() >= 1);
  CHECK(numa_node_of(0) >= 0);
  CHECK(numa_node_of(0) < 1024);
  CHECK(numa_node_of(-5) == 0);
}

TEST_CASE("binding to a node that is none is refused") {
  alignas(4096) static std::array<char, 4096> page;
  CHECK_FALSE(bind_memory(page.data(), page.size(), -1));
  CHECK_FALSE(bind_memory(page.data(), page.size(), 64));
}
