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
  refused([](options& o) { o.payload_bytes_max = 100; }, "payload_bytes_max");
  refused([](options& o) { o.payload_bytes_max = 17 * MiB; }, "payload_bytes_max");
  refused([](options& o) { o.preallocate_bytes = 1; }, "preallocate_bytes");
  refused([](options& o) { o.group_bytes = 0; }, "group_bytes");
  refused([](options& o) { o.read_depth = 0; }, "read_depth");
  refused([](options& o) { o.open_segments = 0; }, "open_segments");
  refused([](options& o) { o.index_group_entries = 0; }, "index_group_entries");
  refused([](options& o) { o.tick_ns = 0; }, "tick_ns");
  refused([](options& o) { o.lazy_flush_ns = 0; }, "lazy_flush_ns");
}

TEST_CASE("segments are smaller where the largest payload is", "[options]") {
  options chosen;
  chosen.payload_bytes_max = 16 * KiB;
  chosen.segment_bytes = 32 * KiB;
  chosen.allocate_bytes = 40 * KiB;
  CHECK(validate(chosen).empty());
  chosen.segment_bytes -= block_bytes;
  CHECK(validate(chosen).find("segment_bytes") == 0);
  chosen.segment_bytes += block_bytes;
  chosen.allocate_bytes -= block_bytes;
  CHECK(validate(chosen).find("allocate_bytes") == 0);
}
