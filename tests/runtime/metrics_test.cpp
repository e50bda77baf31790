#include "runtime/metrics.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <thread>

using namespace lance::runtime;

namespace {

// A strict reader of the text format: what it accepts, every scraper reads.
struct sample {
  std::string name;
  std::map<std::string, std::string> labels;
  double value = 0;
};
struct family {
  std::string help;
  std::string type;
  std::vector<sample> samples;
};

bool name_ok(const std::string& name) {
  return !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}

sample parse_sample(const std::string& line) {
  sample out;
  auto at = line.find_first_of("{ ");
  REQUIRE(at != std::string::npos);
  out.name = line.substr(0, at);
  if (line[at] == '{') {
    ++at;
    while (line[at] != '}') {
      const auto equals = line.find("=\"", at);
      REQUIRE(equals != std::string::npos);
      const auto label = line.substr(at, equals - at);
      CHECK(name_ok(label));
      std::string value;
      for (at = equals + 2; line.at(at) != '"'; ++at) {
        if (line[at] == '\\')
          ++at;
        value += line.at(at);
      }
      CHECK(out.labels.emplace(label, value).second);
      ++at;
      if (line.at(at) == ',')
        ++at;
    }
    ++at;
  }
  REQUIRE(line.at(at) == ' ');
  std::size_t used = 0;
  const auto number = line.substr(at + 1);
  out.value = std::stod(number, &used);
  CHECK(used == number.size());
  return out;
}

// Families by name, in the order HELP, TYPE, samples; nothing else may stand in the text.
std::map<std::string, family> parse(const std::string& text) {
  std::map<std::string, family> families;
  std::string current;
  REQUIRE(!text.empty());
  CHECK(text.back() == '\n');
  std::stringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    std::stringstream words{line};
    std::string hash;
    std::string what;
    std::string name;
    if (line.starts_with("# ")) {
      words >> hash >> what >> name;
      CHECK(name_ok(name));
      std::string rest;
      std::getline(words >> std::ws, rest);
      CHECK(!rest.empty());
      if (what == "HELP") {
        REQUIRE(families.emplace(name, family{rest, "", {}}).second);
        current = name;
      } else {
        REQUIRE(what == "TYPE");
        REQUIRE(name == current);
        CHECK(families[name].type.empty());
        families[name].type = rest;
      }
      continue;
    }
    const auto one = parse_sample(line);
    REQUIRE(families.contains(current));
    auto& home = families[current];
    if (home.type == "histogram")
      CHECK((one.name == current + "_bucket" || one.name == current + "_sum" ||
             one.name == current + "_count"));
    else
      CHECK(one.name == current);
    for (const auto& other : home.samples)
      CHECK_FALSE((other.name == one.name && other.labels == one.labels));
    home.samples.push_back(one);
  }
  return families;
}

// Buckets of one labelled histogram: ascending bounds, never falling counts, +Inf equals _count.
void check_histogram(const std::string& name, const family& family) {
  std::map<std::string, std::vector<sample>> series;
  std::map<std::string, double> counts;
  std::map<std::string, double> sums;
  for (const auto& sample : family.samples) {
    const auto stage = sample.labels.contains("stage") ? sample.labels.at("stage") : "";
    if (sample.name == name + "_bucket")
      series[stage].push_back(sample);
    else
      CHECK((sample.name == name + "_sum" ? sums : counts).emplace(stage, sample.value).second);
  }
  CHECK(series.size() == counts.size());
  CHECK(series.size() == sums.size());
  for (const auto& [stage, buckets] : series) {
    double bound = -1;
    double count = 0;
    for (const auto& bucket : buckets) {
      const auto here = std::stod(bucket.labels.at("le"));
      CHECK(here > bound);
      CHECK(bucket.value >= count);
      bound = here;
      count = bucket.value;
    }
    CHECK(std::isinf(bound));
    CHECK(count == counts.at(stage));
  }
}

template <std::size_t N>
void check_rows(const std::array<metric_row, N>& rows, std::set<std::string>& seen) {
  for (std::size_t i = 0; i < N; ++i) {
    const auto& row = rows[i];
    INFO(row.name);
    CHECK(row.which == i); // each enumerator has exactly one row, in its place
    CHECK(name_ok(std::string{row.name}));
    CHECK(row.name.starts_with("lance_"));
    CHECK(row.help.size() > 10);
    CHECK(row.help.ends_with("."));
    CHECK(seen.insert(std::string{row.name} + '{' + std::string{row.label_value} + '}').second);
  }
}

} // namespace

TEST_CASE("the table has one row for each enumerator and every series once") {
  std::set<std::string> seen;
  const auto& table = metric_names();
  check_rows(table.counter_rows, seen);
  check_rows(table.gauge_rows, seen);
  check_rows(table.histogram_rows, seen);
  check_rows(table.info_rows, seen);
  for (const auto& row : table.counter_rows)
    CHECK(row.name.ends_with("_total"));
  for (const auto& row : table.gauge_rows) {
    CHECK_FALSE(row.name.ends_with("_total"));
    CHECK(row.largest == (row.name.ends_with("_ratio") || row.name.ends_with("_age_seconds")));
  }
  for (const auto& row : table.histogram_rows)
    CHECK(row.name.ends_with("_seconds"));
  for (const auto* documented : {"lance_records_ingested_total",
                                 "lance_bytes_ingested_total",
                                 "lance_batches_written_total",
                                 "lance_bytes_written_total",
                                 "lance_io_ops_submitted_total",
                                 "lance_io_ops_completed_total",
                                 "lance_connections_active",
                                 "lance_connections_total",
                                 "lance_crc_failures_total",
                                 "lance_backpressure_events_total",
                                 "lance_pool_exhausted_total",
                                 "lance_numa_misaligned_total",
                                 "lance_reads_total",
                                 "lance_read_bytes_total",
                                 "lance_pending_io",
                                 "lance_queue_saturation_ratio",
                                 "lance_fenced_logs",
                                 "lance_recovering_logs",
                                 "lance_reread_bytes",
                                 "lance_ingest_latency_seconds",
                                 "lance_io_flush_latency_seconds"})
    CHECK(seen.contains(std::string{documented} + "{}"));
}

TEST_CASE("the text is valid, and holds what the sets were told") {
  metrics_registry registry;
  auto& one = registry.make_set();
  auto& two = registry.make_set();
  one.add(counter::records_ingested, 3);
  two.add(counter::records_ingested);
  two.add(counter::errors_io, 5);
  one.set(gauge::connections_active, 2);
  two.set(gauge::connections_active, 3);
  one.set(gauge::queue_saturation, 0.25);
  two.set(gauge::queue_saturation, 0.75);
  one.observe(histogram::stage_flush, 220'000);
  two.observe(histogram::stage_flush, 1'000);
  two.observe(histogram::stage_flush, 60'000'000'000);
  registry.set_info(info::io_backend, "uring \"x\"\\");

  const auto families = parse(registry.text());
  for (const auto& [name, family] : families) {
    INFO(name);
    CHECK(!family.samples.empty());
    if (name.ends_with("_total"))
      CHECK(family.type == "counter");
    else if (name.ends_with("_seconds") && name != "lance_tls_certificate_expiry_seconds" &&
             !name.ends_with("_age_seconds"))
      CHECK(family.type == "histogram");
    else
      CHECK(family.type == "gauge");
    if (family.type == "histogram")
      check_histogram(name, family);
  }
  CHECK(families.at("lance_records_ingested_total").samples.at(0).value == 4);
  CHECK(families.at("lance_connections_active").samples.at(0).value == 5);
  CHECK(families.at("lance_queue_saturation_ratio").samples.at(0).value == 0.75);
  CHECK(families.at("lance_errors_total").samples.size() == 8);
  CHECK(families.at("lance_io_backend").samples.at(0).labels.at("backend") == "uring \"x\"\\");
  CHECK_FALSE(families.contains("lance_build_info")); // nobody said it yet
  double sum = 0;
  for (const auto& sample : families.at("lance_stage_seconds").samples) {
    if (sample.labels.at("stage") != "flush")
      continue;
    if (sample.name == "lance_stage_seconds_sum")
      sum = sample.value;
    if (sample.labels.contains("le") && sample.labels.at("le") == "0.0005")
      CHECK(sample.value == 2);
    if (sample.labels.contains("le") && sample.labels.at("le") == "10")
      CHECK(sample.value == 2); // the minute lies beyond
  }
  CHECK(sum == Approx(60.000221));

  CHECK(registry.total(counter::errors_io) == 5);
  CHECK(registry.value(gauge::queue_saturation) == 0.75);
  CHECK(registry.snapshot(histogram::stage_flush).count() == 3);
}

TEST_CASE("every row of the table appears in the text") {
  metrics_registry registry;
  registry.set_info(info::build_version, "0");
  registry.set_info(info::io_backend, "none");
  const auto families = parse(registry.text());
  const auto has = [&](const metric_row& row) {
    INFO(row.name);
    REQUIRE(families.contains(std::string{row.name}));
    const auto& samples = families.at(std::string{row.name}).samples;
    CHECK(std::any_of(samples.begin(), samples.end(), [&](const sample& s) {
      return row.label.empty() || row.label_value.empty() ||
             s.labels.at(std::string{row.label}) == row.label_value;
    }));
  };
  for (const auto& row : metric_names().counter_rows)
    has(row);
  for (const auto& row : metric_names().gauge_rows)
    has(row);
  for (const auto& row : metric_names().histogram_rows)
    has(row);
  for (const auto& row : metric_names().info_rows)
    has(row);
}

TEST_CASE("a duration lies in the first bucket whose bound is not below it") {
  CHECK(bucket_of(0) == 0);
  CHECK(bucket_of(1'000) == 0);
  CHECK(bucket_of(1'001) == 1);
  CHECK(bucket_of(10'000'000'000) == buckets - 2);
  CHECK(bucket_of(10'000'000'001) == buckets - 1);
  CHECK(bucket_of(~0ULL) == buckets - 1);
  for (std::size_t i = 0; i + 1 < buckets; ++i) {
    const auto bound = bucket_bound_ns(i);
    CHECK(bucket_of(bound) == i);
    CHECK(bucket_of(bound + 1) == i + 1);
    CHECK(bound < bucket_bound_ns(i + 1));
  }
}

TEST_CASE("percentiles come out within a bucket of the truth") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  std::lognormal_distribution<double> latency{12.0, 1.5}; // around 160 us, with a long tail
  std::vector<std::uint64_t> truth;
  histogram_snapshot histogram;
  for (int i = 0; i < 20'000; ++i) {
    truth.push_back(static_cast<std::uint64_t>(latency(random)));
    histogram.record(truth.back());
  }
  std::sort(truth.begin(), truth.end());
  for (const double fraction : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const auto expected =
        truth[static_cast<std::size_t>(fraction * static_cast<double>(truth.size()))];
    const auto bucket = bucket_of(expected);
    const auto found = histogram.percentile_ns(fraction);
    INFO(fraction << ": " << found << " for " << expected);
    CHECK(found <= bucket_bound_ns(bucket + 1));
    CHECK(found >= (bucket < 2 ? 0 : bucket_bound_ns(bucket - 2)));
  }
  CHECK(histogram.count() == truth.size());
}

TEST_CASE("snapshots add, subtract and answer when empty") {
  histogram_snapshot early;
  CHECK(early.percentile_ns(0.5) == 0);
  CHECK(early.mean_ns() == 0);
  early.record(5'000);
  auto late = early;
  late.record(20'000'000'000);
  CHECK(late.percentile_ns(1.0) == 10'000'000'000);
  CHECK(late.mean_ns() == 10'000'002'500);
  CHECK(late.since(early).count() == 1);
  CHECK(late.since(early).sum_ns == 20'000'000'000);
  late += early;
  CHECK(late.count() == 3);
}

TEST_CASE("a set is written by its thread while others read") {
  metrics_registry registry;
  auto& set = registry.make_set();
  std::thread writer{[&] {
    for (int i = 0; i < 100'000; ++i) {
      set.add(counter::reads);
      set.observe(histogram::fetch_latency, 2'000);
      set.set(gauge::pending_io, i);
    }
  }};
  std::uint64_t before = 0;
  for (int i = 0; i < 20; ++i) {
    const auto now = registry.total(counter::reads);
    CHECK(now >= before);
    before = now;
    CHECK(!registry.text().empty());
  }
  writer.join();
  CHECK(registry.total(counter::reads) == 100'000);
  CHECK(registry.snapshot(histogram::fetch_latency).count() == 100'000);
}
