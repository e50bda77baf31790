// What a node counts: one closed table of counters, gauges and histograms with stable names, cheap
// to feed on the record path, summed and written as Prometheus text elsewhere.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace lance::runtime {

/// Only ever grows. The table in metrics.cpp holds name, label and meaning of each.
enum class counter : std::uint8_t {
  records_ingested,
  bytes_ingested,
  batches_written,
  bytes_written,
  io_ops_submitted,
  io_ops_completed,
  connections,
  crc_failures,
  backpressure_events,
  pool_exhausted,
  numa_misaligned,
  reads,
  read_bytes,
  consumer_throttled,
  log_recoveries,
  quarantined_bytes,
  retention_segments,
  retention_bytes,
  tls_handshakes,
  tls_resumptions,
  tls_reloads,
  tls_reload_failures,
  // tls_failures_*: one family, lance_tls_failures_total{reason="..."}, in the order of tls_fault
  tls_failures_plaintext,
  tls_failures_version,
  tls_failures_cipher,
  tls_failures_no_certificate,
  tls_failures_expired,
  tls_failures_not_yet_valid,
  tls_failures_unknown_issuer,
  tls_failures_self_signed,
  tls_failures_wrong_host,
  tls_failures_bad_certificate,
  tls_failures_refused,
  tls_failures_bad_record,
  tls_failures_renegotiation,
  tls_failures_truncated,
  tls_failures_timed_out,
  tls_failures_internal,
  // auth_*: one family, lance_auth_failures_total{reason="..."}
  auth_unknown_token,
  auth_expired_token,
  auth_not_authenticated,
  auth_not_authorized,
  auth_too_late,
  auth_reloads,
  auth_reload_failures,
  producer_duplicates,
  producer_refusals,
  quota_held,
  quota_refused,
  quota_connections,
  scrub_bytes,
  scrub_segments,
  scrub_errors,
  scrub_indexes_rebuilt,
  errors_protocol, ///< errors_*: one family, lance_errors_total{type="..."}
  errors_io,
  errors_timeout,
  errors_checksum,
  errors_replication,
  errors_backpressure,
  errors_auth,
  errors_internal,
  count_, ///< not a counter: how many there are
};

/// Set to what is true now. Counts are summed over the sets, ratios answer with the largest.
enum class gauge : std::uint8_t {
  connections_active,
  pending_io,
  fenced_logs,
  damaged_batches,
  scrub_age,
  recovering_logs,
  reread_bytes,
  queue_saturation,
  memory_saturation,
  buffer_pool_saturation,
  connection_saturation,
  disk_total_bytes,
  disk_free_bytes,
  disk_watermark, ///< storage::disk_level
  ballast_bytes,
  ingest_ops_per_second, ///< these four: over the last second or so
  ingest_bytes_per_second,
  read_ops_per_second,
  read_bytes_per_second,
  cluster_leader_id, ///< cluster_*: what GetClusterStatus tells
  cluster_current_term,
  cluster_node_count,
  cluster_healthy_nodes,
  cluster_is_leader,
  cluster_quorum_available,
  cluster_leader_ready,
  cluster_coordinator_ready,
  tls_certificate_expiry,
  count_,
};

/// Durations, given in nanoseconds, exported in seconds.
enum class histogram : std::uint8_t {
  ingest_latency, ///< frame complete to acknowledgement handed to the socket
  fetch_latency,
  io_write_latency,
  io_flush_latency,
  ack_latency,
  tls_handshake,
  stage_parse, ///< stage_*: one family, lance_stage_seconds{stage="..."}
  stage_queue,
  stage_write,
  stage_flush,
  stage_ack,
  count_,
};

/// A fact of this process with a constant value of 1: its text is the label.
enum class info : std::uint8_t { build_version, io_backend, count_ };

inline constexpr std::size_t counters = static_cast<std::size_t>(counter::count_);
inline constexpr std::size_t gauges = static_cast<std::size_t>(gauge::count_);
inline constexpr std::size_t histograms = static_cast<std::size_t>(histogram::count_);
inline constexpr std::size_t infos = static_cast<std::size_t>(info::count_);

// -- buckets ---------------------------------------------------------------------------------
// Bucket 0 holds everything up to 1 us; then 36 equal steps per decade up to 10 s, so that a bucket
// is at most a quarter and in the mean a twelfth of its value wide; the last holds the rest.

inline constexpr std::size_t steps_per_decade = 36;
inline constexpr std::size_t decades = 7;
inline constexpr std::size_t buckets = 1 + decades * steps_per_decade + 1;

/// The bucket for a duration: the first whose upper bound is not below it.
[[nodiscard]] std::size_t bucket_of(std::uint64_t ns) noexcept;
/// Its upper bound, itself included; the last bucket has none and answers UINT64_MAX.
[[nodiscard]] std::uint64_t bucket_bound_ns(std::size_t bucket) noexcept;

/// A copy of a histogram, to compute with.
struct histogram_snapshot {
  std::array<std::uint64_t, buckets> counts{};
  std::uint64_t sum_ns = 0;

  [[nodiscard]] std::uint64_t count() const noexcept;
  [[nodiscard]] std::uint64_t mean_ns() const noexcept; ///< 0 when empty
  /// The duration that `fraction` (0..1) of the observations do not exceed, interpolated within its
  /// bucket; 0 when empty, 10 s for whatever lies beyond.
  [[nodiscard]] std::uint64_t percentile_ns(double fraction) const noexcept;
  void record(std::uint64_t ns) noexcept {
    ++counts[bucket_of(ns)];
    sum_ns += ns;
  }
  histogram_snapshot& operator+=(const histogram_snapshot& other) noexcept;
  /// What came after `earlier`, an older snapshot of the same histogram.
  [[nodiscard]] histogram_snapshot since(const histogram_snapshot& earlier) const noexcept;
};

// -- sets ------------------------------------------------------------------------------------

/// The numbers of one lane or thread. One writer at a time, without locks, allocation or atomic
/// read-modify-write; any thread reads. Owned by the registry, on cache lines of its own.
class alignas(64) metric_set {
 public:
  metric_set() = default;
  metric_set(const metric_set&) = delete;
  metric_set& operator=(const metric_set&) = delete;

  void add(counter which, std::uint64_t n = 1) noexcept {
    grow(counters_[static_cast<std::size_t>(which)], n);
  }
  void set(gauge which, double value) noexcept {
    gauges_[static_cast<std::size_t>(which)].store(value, std::memory_order_relaxed);
  }
  void observe(histogram which, std::uint64_t ns) noexcept {
    auto& cells = histograms_[static_cast<std::size_t>(which)];
    grow(cells.counts[bucket_of(ns)], 1);
    grow(cells.sum_ns, ns);
  }

  [[nodiscard]] std::uint64_t read(counter which) const noexcept {
    return counters_[static_cast<std::size_t>(which)].load(std::memory_order_relaxed);
  }
  [[nodiscard]] double read(gauge which) const noexcept {
    return gauges_[static_cast<std::size_t>(which)].load(std::memory_order_relaxed);
  }
  [[nodiscard]] histogram_snapshot read(histogram which) const noexcept;

 private:
  using cell = std::atomic<std::uint64_t>;
  struct histogram_cells {
    std::array<cell, buckets> counts{};
    cell sum_ns{0};
  };
  static void grow(cell& number, std::uint64_t by) noexcept {
    number.store(number.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  std::array<cell, counters> counters_{};
  std::array<std::atomic<double>, gauges> gauges_{};
  std::array<histogram_cells, histograms> histograms_{};
};

/// Owns the sets and answers for the process. Any thread.
class metrics_registry {
 public:
  /// A new set, at start; it lives as long as the registry.
  metric_set& make_set();
  /// Sets the label of a fact; without it the fact is not exported.
  void set_info(info which, std::string text);

  [[nodiscard]] std::uint64_t total(counter which) const;
  [[nodiscard]] double value(gauge which) const;
  [[nodiscard]] histogram_snapshot snapshot(histogram which) const;

  /// Everything in Prometheus' text format, version 0.0.4.
  [[nodiscard]] std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<metric_set>> sets_;
  std::array<std::string, infos> infos_;
};

// -- the table -------------------------------------------------------------------------------

/// One line of the closed table: rows of one family follow each other and differ in the label.
struct metric_row {
  std::uint8_t which;           ///< the enumerator
  std::string_view name;        ///< with its prefix and, for counters, `_total`
  std::string_view label;       ///< empty when the family has none
  std::string_view label_value; ///< for info rows empty: set_info() says it
  std::string_view help;
  bool largest = false; ///< gauges: the answer is the largest of the sets, not their sum
};

struct metric_table {
  std::array<metric_row, counters> counter_rows;
  std::array<metric_row, gauges> gauge_rows;
  std::array<metric_row, histograms> histogram_rows;
  std::array<metric_row, infos> info_rows;
};

[[nodiscard]] const metric_table& metric_names() noexcept;

} // namespace lance::runtime
