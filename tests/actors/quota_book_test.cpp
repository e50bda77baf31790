#include "actors/quota_book.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using actors::quota_book;
using actors::quota_limits;
using way = actors::quota_book::way;

TEST_CASE("without limits nobody is asked and nobody waits") {
  quota_book book;
  CHECK_FALSE(book.limits(way::ingest));
  CHECK_FALSE(book.limits(way::fetch));
  book.take(way::ingest, "a", 1, 1 * GiB, 0);
  CHECK(book.wait_ns(way::ingest, "a", 1, 0) == 0);
}

TEST_CASE("each limit holds for its own way and its own name") {
  struct row {
    quota_limits limits;
    way which;
    bool by_topic;
  };
  const row rows[] = {{{.ingest_bytes_per_s = 100}, way::ingest, false},
                      {{.fetch_bytes_per_s = 100}, way::fetch, false},
                      {{.topic_ingest_bytes_per_s = 100}, way::ingest, true},
                      {{.topic_fetch_bytes_per_s = 100}, way::fetch, true}};
  for (const auto& [limits, which, by_topic] : rows) {
    quota_book book{limits};
    const auto other = which == way::ingest ? way::fetch : way::ingest;
    CHECK(book.limits(which));
    CHECK_FALSE(book.limits(other));
    book.take(which, "a", 1, 1000, 0);
    CHECK(book.wait_ns(which, "a", 1, 0) > 8 * s_in_ns);
    CHECK(book.wait_ns(other, "a", 1, 0) == 0);
    CHECK((book.wait_ns(which, "b", 1, 0) > 0) == by_topic);
    CHECK((book.wait_ns(which, "a", 2, 0) > 0) != by_topic);
    CHECK(book.wait_ns(which, "b", 2, 0) == 0);
  }
}

TEST_CASE("a change holds at once and forgives nothing but a limit that was lifted") {
  quota_book book{{.ingest_bytes_per_s = 100}};
  book.take(way::ingest, "a", 1, 1000, 0);
  book.set({.ingest_bytes_per_s = 1000}, 0);
  CHECK(book.limits() == quota_limits{.ingest_bytes_per_s = 1000});
  const auto wait = book.wait_ns(way::ingest, "a", 1, 0);
  CHECK(wait > 0);
  CHECK(wait < s_in_ns);
  book.set({}, 0);
  CHECK_FALSE(book.limits(way::ingest));
  CHECK(book.wait_ns(way::ingest, "a", 1, 0) == 0);
  book.set({.ingest_bytes_per_s = 1000}, 0);
  CHECK(book.wait_ns(way::ingest, "a", 1, 0) == 0);
}

TEST_CASE("names beyond the bound share one rate, and idle ones make room") {
  quota_book book{{.ingest_bytes_per_s = 100}, 4};
  for (const auto* name : {"a", "b", "c", "d"})
    book.take(way::ingest, name, 1, 1000, 0);
  book.take(way::ingest, "e", 1, 1000, 0);
  CHECK(book.wait_ns(way::ingest, "f", 1, 0) > 0); // as the rest beyond the bound
  const auto later = 60 * s_in_ns;
  CHECK(book.wait_ns(way::ingest, "g", 1, later) == 0);
  book.take(way::ingest, "g", 1, 1000, later);
  CHECK(book.wait_ns(way::ingest, "h", 1, later) == 0);
}

TEST_CASE("an identity has so many connections and not one more") {
  quota_book book{{.connections = 2}};
  CHECK(book.join("a"));
  CHECK(book.join("a"));
  CHECK_FALSE(book.join("a"));
  CHECK(book.join("b"));
  book.leave("a");
  CHECK(book.join("a"));
  book.set({}, 0);
  CHECK(book.join("a"));
}
