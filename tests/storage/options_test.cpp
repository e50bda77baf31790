#include "storage/options.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::storage;

TEST_CASE("the defaults of storage can work", "[options]") {
  CHECK(validate(options{}).empty());
}

TEST_CASE("bounds that cannot work are named", "[options]") {
  const auto refused = [](auto change, std::string_view name) {
    options chosen;
    change(chosen);
    INFO(name);
    CHECK(validate(chosen).find(name) == 0);
  };
  refused([](options& o) { o.segment_bytes = 16 * MiB; }, "segment_bytes");
  refused([](options& o) { o.segment_bytes = 4 * GiB; }, "segment_bytes");
  refused([](options& o) { o.segment_bytes += 1; }, "segment_bytes");
  refused([](options& o) { o.allocate_bytes = 16 * MiB; }, "allocate_bytes");
  refused([](options& o) { o.preallocate_bytes = 1; }, "preallocate_bytes");
  refused([](options& o) { o.group_bytes = 0; }, "group_bytes");
  refused([](options& o) { o.read_depth = 0; }, "read_depth");
  refused([](options& o) { o.open_segments = 0; }, "open_segments");
  refused([](options& o) { o.index_group_entries = 0; }, "index_group_entries");
  refused([](options& o) { o.tick_ns = 0; }, "tick_ns");
  refused([](options& o) { o.lazy_flush_ns = 0; }, "lazy_flush_ns");
}
