#include "storage/layout.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::storage;

TEST_CASE("segment names go to text and back", "[layout]") {
  const segment_id id{batch_number{42}, 1'700'000'000'000'000'000};
  CHECK(layout::active_name(id) == "00000000000000000042_01700000000000000000.lnc");
  CHECK(layout::closed_name(id, 1'800'000'000'000'000'000) ==
        "00000000000000000042_01700000000000000000-01800000000000000000.lnc");
  CHECK(layout::index_name(id) == "00000000000000000042_01700000000000000000.idx");

  const auto active = layout::parse(layout::active_name(id));
  CHECK(active.kind == layout::file_kind::active_segment);
  CHECK(active.segment == id);
  const auto closed = layout::parse(layout::closed_name(id, 5));
  CHECK(closed.kind == layout::file_kind::closed_segment);
  CHECK(closed.segment == id);
  CHECK(closed.last_ns == 5);
  CHECK(layout::parse(layout::index_name(id)).kind == layout::file_kind::index);
  CHECK(layout::parse("next.spare").kind == layout::file_kind::spare);
}

TEST_CASE("names that are not ours are left alone", "[layout]") {
  for (const auto* name : {"", "x", "1_2.lnc", "00000000000000000042_01700000000000000000.lnc.tmp",
                           "00000000000000000042_01700000000000000000-.lnc",
                           "00000000000000000042_0170000000000000000x.lnc",
                           "99999999999999999999_01700000000000000000.lnc", // more than 2^64 - 1
                           "00000000000000000042-01700000000000000000.lnc", "next.spare~",
                           "-0000000000000000042_01700000000000000000.lnc"}) {
    INFO(name);
    CHECK(layout::parse(name).kind == layout::file_kind::other);
  }
}

TEST_CASE("names sort as their numbers do", "[layout]") {
  CHECK(layout::active_name({batch_number{9}, 1}) < layout::active_name({batch_number{10}, 0}));
  CHECK(layout::active_name({batch_number{1}, 0}) <
        layout::active_name({batch_number{~std::uint64_t{0}}, 0}));
}

TEST_CASE("paths are joined and taken apart", "[layout]") {
  CHECK(layout::join("a", "b") == "a/b");
  CHECK(layout::join("a/", "b") == "a/b");
  CHECK(layout::parent("a/b/c") == "a/b");
  CHECK(layout::parent("/a") == "/");
  CHECK(layout::parent("a") == ".");
  CHECK(layout::log_directory("/d", "orders", 3) == "/d/segments/orders/3");
}
