#include "storage/watermark.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::storage;

namespace {

constexpr std::uint64_t total = 100 * GiB;

watermark_limits limits() {
  return {.warn = 0.80, .stop_writes = 0.90, .ballast_bytes = 64 * MiB, .room_bytes = 40 * MiB};
}

disk_space used(double share, std::uint64_t of = total) {
  return {of, static_cast<std::uint64_t>((1.0 - share) * static_cast<double>(of))};
}

// A machine with its ballast in place.
struct world {
  watermark machine{limits()};
  bool held = true;
  std::uint64_t now_ns = s_in_ns;

  watermark_verdict see(const disk_space& space) {
    now_ns += s_in_ns;
    const auto verdict = machine.sample(space, held, now_ns);
    if (verdict.ballast == ballast_deed::release)
      held = false;
    if (verdict.ballast == ballast_deed::make)
      held = true;
    return verdict;
  }
  disk_level level_at(double share) { return see(used(share)).level; }
};

} // namespace

TEST_CASE("watermark: levels rise at their marks and fall below them", "[watermark]") {
  world here;
  CHECK(here.level_at(0.10) == disk_level::ok);
  CHECK(here.level_at(0.799) == disk_level::ok);
  CHECK(here.level_at(0.801) == disk_level::warn);
  CHECK(here.level_at(0.795) == disk_level::warn); // no flapping at the mark
  CHECK(here.level_at(0.805) == disk_level::warn);
  CHECK(here.level_at(0.785) == disk_level::ok);
  CHECK(here.level_at(0.901) == disk_level::stop_writes); // both at once
  CHECK(here.level_at(0.895) == disk_level::stop_writes);
  CHECK(here.level_at(0.885) == disk_level::warn);
  CHECK(here.level_at(0.895) == disk_level::warn);
  CHECK(here.level_at(0.901) == disk_level::stop_writes);
  CHECK(here.level_at(0.10) == disk_level::ok); // both at once, down
}

TEST_CASE("watermark: changes are said once", "[watermark]") {
  world here;
  CHECK_FALSE(here.see(used(0.5)).changed);
  CHECK(here.see(used(0.85)).changed);
  CHECK_FALSE(here.see(used(0.86)).changed);
  CHECK(here.see(used(0.95)).changed);
  CHECK(here.see(used(0.5)).changed);
  CHECK(here.machine.used_share() == Approx(0.5));
}

TEST_CASE("watermark: marks close to each other keep an order", "[watermark]") {
  watermark machine{{.warn = 0.899, .stop_writes = 0.90, .ballast_bytes = 0, .room_bytes = 0}};
  CHECK(machine.sample(used(0.901), false, 1).level == disk_level::stop_writes);
  CHECK(machine.sample(used(0.8998), false, 2).level == disk_level::stop_writes);
  CHECK(machine.sample(used(0.8992), false, 3).level == disk_level::warn);
  CHECK(machine.sample(used(0.8980), false, 4).level == disk_level::ok);
}

TEST_CASE("watermark: the ballast goes when the disk is full after all", "[watermark]") {
  world here;
  CHECK(here.see(used(0.95)).ballast == ballast_deed::none); // stopped is not full
  CHECK(here.see({total, 17 * MiB}).ballast == ballast_deed::none);
  const auto verdict = here.see({total, 15 * MiB});
  CHECK(verdict.ballast == ballast_deed::release);
  CHECK(verdict.level == disk_level::stop_writes);
}

TEST_CASE("watermark: on a small disk the ballast goes halfway to the end", "[watermark]") {
  world here; // 10 % of 100 MiB are behind the mark
  CHECK(here.see({100 * MiB, 6 * MiB}).ballast == ballast_deed::none);
  CHECK(here.see({100 * MiB, 4 * MiB}).ballast == ballast_deed::release);
}

TEST_CASE("watermark: what the ballast has left is not room for producers", "[watermark]") {
  watermark machine{limits()};
  // 10 % of 1000 MiB, 64 of them the ballast's that was released.
  CHECK(machine.sample({1000 * MiB, 120 * MiB}, false, 1).level == disk_level::stop_writes);
  CHECK(machine.sample({1000 * MiB, 170 * MiB}, false, 2).level == disk_level::stop_writes);
  CHECK(machine.sample({1000 * MiB, 176 * MiB}, false, 3).level == disk_level::warn);
}

TEST_CASE("watermark: the ballast is made again when space returns", "[watermark]") {
  world here;
  CHECK(here.see({total, 1 * MiB}).ballast == ballast_deed::release);
  CHECK(here.see({total, 65 * MiB}).ballast == ballast_deed::none); // its own space
  CHECK(here.see(used(0.905)).ballast == ballast_deed::none);       // still stopped
  CHECK(here.see(used(0.85)).ballast == ballast_deed::make);
  CHECK(here.see(used(0.85)).ballast == ballast_deed::none);
}

TEST_CASE("watermark: without ballast none is made or released", "[watermark]") {
  auto without = limits();
  without.ballast_bytes = 0;
  watermark machine{without};
  CHECK(machine.sample(used(0.1), false, 1).ballast == ballast_deed::none);
  CHECK(machine.sample({total, 0}, false, 2).ballast == ballast_deed::none);
}

TEST_CASE("watermark: a log that met a full disk stops writes until there is room", "[watermark]") {
  world here;
  constexpr std::uint64_t small = 500 * MiB; // 20 % are 100 MiB: the marks are far
  CHECK(here.see({small, 120 * MiB}).level == disk_level::ok);
  here.machine.disk_was_full(false);
  CHECK(here.see({small, 120 * MiB}).level == disk_level::ok); // there is room: by a quota, say
  CHECK(here.held);
  watermark_limits wide = limits();
  wide.warn = 0.98;
  wide.stop_writes = 0.99;
  here.machine = watermark{wide};
  here.machine.disk_was_full(false);
  CHECK(here.see({small, 30 * MiB}).level == disk_level::stop_writes);
  CHECK(here.see({small, 39 * MiB}).level == disk_level::stop_writes);
  CHECK(here.held); // nothing accepted waits
  CHECK(here.see({small, 41 * MiB}).level == disk_level::ok);
  here.machine.disk_was_full(true);
  CHECK(here.see({small, 30 * MiB}).ballast == ballast_deed::release);
}

TEST_CASE("watermark: gives up when the journal stays blocked without ballast", "[watermark]") {
  world here;
  const auto full = disk_space{total, 0};
  here.machine.journal_blocked(true);
  CHECK(here.see(full).ballast == ballast_deed::release);
  for (int i = 0; i < 10; ++i)
    CHECK_FALSE(here.see(full).give_up);
  here.machine.journal_blocked(false); // it could be written
  CHECK_FALSE(here.see(full).give_up);
  here.machine.journal_blocked(true);
  for (int i = 0; i < 10; ++i)
    CHECK_FALSE(here.see(full).give_up);
  CHECK(here.see(full).give_up);
}

TEST_CASE("watermark: a disk without a size is not full", "[watermark]") {
  world here;
  CHECK(here.see({0, 0}).level == disk_level::ok);
}
