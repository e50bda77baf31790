#include "runtime/metrics.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "runtime/check.hpp"

namespace lance::runtime {

namespace {

template <class Which>
constexpr metric_row row(Which which, std::string_view name, std::string_view help,
                         std::string_view label = {}, std::string_view label_value = {}) {
  return {static_cast<std::uint8_t>(which), name, label, label_value, help};
}

constexpr metric_row ratio(gauge which, std::string_view name, std::string_view help) {
  auto made = row(which, name, help);
  made.largest = true;
  return made;
}

constexpr metric_row failure(counter which, std::string_view type) {
  return row(which, "lance_errors_total", "Requests or operations that failed, by kind.", "type",
             type);
}

constexpr metric_row tls_failure(counter which, std::string_view reason) {
  return row(which, "lance_tls_failures_total", "Encrypted connections that failed, by reason.",
             "reason", reason);
}

constexpr metric_row auth_failure(counter which, std::string_view reason) {
  return row(which, "lance_auth_failures_total",
             "Requests and tokens refused because of who asked, by reason.", "reason", reason);
}

constexpr metric_row stage(histogram which, std::string_view name) {
  return row(which, "lance_stage_seconds", "Time a batch spends in one stage of its way.", "stage",
             name);
}

constexpr metric_table table{
    {
        row(counter::records_ingested, "lance_records_ingested_total",
            "Records accepted from producers, as their frames count them."),
        row(counter::bytes_ingested, "lance_bytes_ingested_total",
            "Payload bytes accepted from producers."),
        row(counter::batches_written, "lance_batches_written_total",
            "Batches written to segments."),
        row(counter::bytes_written, "lance_bytes_written_total",
            "Bytes written to segments, headers and padding included."),
        row(counter::io_ops_submitted, "lance_io_ops_submitted_total",
            "File operations handed to the kernel."),
        row(counter::io_ops_completed, "lance_io_ops_completed_total",
            "File operations the kernel has finished."),
        row(counter::connections, "lance_connections_total", "Client connections accepted."),
        row(counter::crc_failures, "lance_crc_failures_total",
            "Checksums that did not hold, on the wire or on disk."),
        row(counter::backpressure_events, "lance_backpressure_events_total",
            "Times a connection was made to wait or a batch was turned away."),
        row(counter::pool_exhausted, "lance_pool_exhausted_total",
            "Times a buffer was wanted and none was free."),
        row(counter::numa_misaligned, "lance_numa_misaligned_total",
            "Pools of buffers that could not be placed on their memory node."),
        row(counter::reads, "lance_reads_total", "Fetch requests answered."),
        row(counter::read_bytes, "lance_read_bytes_total", "Payload bytes sent to consumers."),
        row(counter::consumer_throttled, "lance_consumer_throttled_total",
            "Fetch requests delayed or shortened by a limit."),
        row(counter::log_recoveries, "lance_log_recoveries_total",
            "Logs whose end had to be found anew at start."),
        row(counter::quarantined_bytes, "lance_quarantined_bytes_total",
            "Bytes set aside by recovery."),
        row(counter::retention_segments, "lance_retention_segments_deleted_total",
            "Segments deleted because of their topic's age or size limit, or summed up."),
        row(counter::retention_bytes, "lance_retention_bytes_deleted_total",
            "Bytes of segments deleted because of their topic's age or size limit, or summed up."),
        row(counter::tls_handshakes, "lance_tls_handshakes_total", "TLS handshakes completed."),
        row(counter::tls_resumptions, "lance_tls_resumptions_total",
            "TLS handshakes that resumed an earlier session."),
        row(counter::tls_reloads, "lance_tls_reloads_total",
            "Times certificates were taken over anew without a restart."),
        row(counter::tls_reload_failures, "lance_tls_reload_failures_total",
            "Times changed certificates could not be used and the old ones were kept."),
        tls_failure(counter::tls_failures_plaintext, "plaintext"),
        tls_failure(counter::tls_failures_version, "version"),
        tls_failure(counter::tls_failures_cipher, "cipher"),
        tls_failure(counter::tls_failures_no_certificate, "no_certificate"),
        tls_failure(counter::tls_failures_expired, "expired"),
        tls_failure(counter::tls_failures_not_yet_valid, "not_yet_valid"),
        tls_failure(counter::tls_failures_unknown_issuer, "unknown_issuer"),
        tls_failure(counter::tls_failures_self_signed, "self_signed"),
        tls_failure(counter::tls_failures_wrong_host, "wrong_host"),
        tls_failure(counter::tls_failures_bad_certificate, "bad_certificate"),
        tls_failure(counter::tls_failures_refused, "refused"),
        tls_failure(counter::tls_failures_bad_record, "bad_record"),
        tls_failure(counter::tls_failures_renegotiation, "renegotiation"),
        tls_failure(counter::tls_failures_truncated, "truncated"),
        tls_failure(counter::tls_failures_timed_out, "timed_out"),
        tls_failure(counter::tls_failures_internal, "internal"),
        auth_failure(counter::auth_unknown_token, "unknown_token"),
        auth_failure(counter::auth_expired_token, "expired_token"),
        auth_failure(counter::auth_not_authenticated, "not_authenticated"),
        auth_failure(counter::auth_not_authorized, "not_authorized"),
        auth_failure(counter::auth_too_late, "too_late"),
        row(counter::auth_reloads, "lance_auth_reloads_total",
            "Times tokens and access rules were taken over anew without a restart."),
        row(counter::auth_reload_failures, "lance_auth_reload_failures_total",
            "Times changed tokens or rules could not be used and the old ones were kept."),
        row(counter::producer_duplicates, "lance_producer_duplicates_total",
            "Batches of idempotent producers that were here already: acknowledged, not stored."),
        row(counter::producer_refusals, "lance_producer_refusals_total",
            "Batches of idempotent producers refused: out of sequence, unknown, fenced, too many."),
        row(counter::quota_held, "lance_quota_held_total",
            "Frames that waited unread until their sender was within its quota."),
        row(counter::quota_refused, "lance_quota_refused_total",
            "Frames answered THROTTLED because the wait for quota would have been too long."),
        row(counter::quota_connections, "lance_quota_connections_refused_total",
            "Connections refused because their identity had as many as it may."),
        row(counter::scrub_bytes, "lance_scrub_bytes_total",
            "Bytes of closed segments looked through for bit rot."),
        row(counter::scrub_segments, "lance_scrub_segments_total",
            "Closed segments looked through to their end."),
        row(counter::scrub_errors, "lance_scrub_errors_total",
            "Damaged batches, indexes and unreadable segments met on the way."),
        row(counter::scrub_indexes_rebuilt, "lance_scrub_indexes_rebuilt_total",
            "Damaged indexes that were written anew from their segments."),
        failure(counter::errors_protocol, "protocol"),
        failure(counter::errors_io, "io"),
        failure(counter::errors_timeout, "timeout"),
        failure(counter::errors_checksum, "checksum"),
        failure(counter::errors_replication, "replication"),
        failure(counter::errors_backpressure, "backpressure"),
        failure(counter::errors_auth, "auth"),
        failure(counter::errors_internal, "internal"),
    },
    {
        row(gauge::connections_active, "lance_connections_active", "Client connections open now."),
        row(gauge::pending_io, "lance_pending_io", "File operations under way."),
        row(gauge::fenced_logs, "lance_fenced_logs",
            "Logs that take no more writes because a write or flush failed."),
        row(gauge::damaged_batches, "lance_damaged_batches",
            "Batches known not to verify; reads of them are refused."),
        ratio(gauge::scrub_age, "lance_scrub_last_pass_age_seconds",
              "Time since the last look through all closed segments ended, or since the start."),
        row(gauge::recovering_logs, "lance_recovering_logs",
            "Logs that are not open yet after the start."),
        row(gauge::reread_bytes, "lance_reread_bytes",
            "Closed segments that are read through the page cache, being read again and again."),
        ratio(gauge::queue_saturation, "lance_queue_saturation_ratio",
              "Share of the messages to the ingest lanes that are under way, 0 to 1."),
        ratio(gauge::memory_saturation, "lance_memory_saturation_ratio",
              "Share of the buffer memory that is lent, 0 to 1."),
        ratio(gauge::buffer_pool_saturation, "lance_buffer_pool_saturation_ratio",
              "How empty the emptiest buffer pool is, 0 to 1."),
        ratio(gauge::connection_saturation, "lance_connection_saturation_ratio",
              "Open connections as a share of the allowed ones, 0 to 1."),
        row(gauge::disk_total_bytes, "lance_disk_total_bytes",
            "Size of the file system of the data directory, without what is kept back for root."),
        row(gauge::disk_free_bytes, "lance_disk_free_bytes",
            "Bytes free in the file system of the data directory."),
        row(gauge::disk_watermark, "lance_disk_watermark",
            "How full the disk is: 0 ok, 1 warn, 2 producers are refused."),
        row(gauge::ballast_bytes, "lance_disk_ballast_bytes",
            "Bytes held in reserve for a disk that is full after all."),
        row(gauge::ingest_ops_per_second, "lance_ingest_ops_per_second",
            "Batches written in the last second."),
        row(gauge::ingest_bytes_per_second, "lance_ingest_bytes_per_second",
            "Payload bytes accepted from producers in the last second."),
        row(gauge::read_ops_per_second, "lance_read_ops_per_second",
            "Fetch requests answered in the last second."),
        row(gauge::read_bytes_per_second, "lance_read_bytes_per_second",
            "Payload bytes sent to consumers in the last second."),
        row(gauge::cluster_leader_id, "lance_cluster_leader_id", "Node that leads the cluster."),
        row(gauge::cluster_current_term, "lance_cluster_current_term",
            "Term of the cluster; 0 alone."),
        row(gauge::cluster_node_count, "lance_cluster_nodes", "Nodes of the cluster."),
        row(gauge::cluster_healthy_nodes, "lance_cluster_healthy_nodes",
            "Nodes that are connected, this one included."),
        row(gauge::cluster_is_leader, "lance_cluster_is_leader", "1 where this node leads."),
        row(gauge::cluster_quorum_available, "lance_cluster_quorum_available",
            "1 while a majority of the nodes is connected."),
        row(gauge::cluster_leader_ready, "lance_cluster_leader_ready",
            "1 once the leader serves requests."),
        row(gauge::cluster_coordinator_ready, "lance_cluster_coordinator_ready",
            "1 while the coordinator runs; always alone."),
        row(gauge::tls_certificate_expiry, "lance_tls_certificate_expiry_seconds",
            "Seconds until the first certificate of the own chain ends; 0 without TLS."),
    },
    {
        row(histogram::ingest_latency, "lance_ingest_latency_seconds",
            "From a whole ingest frame to its acknowledgement handed to the socket."),
        row(histogram::fetch_latency, "lance_fetch_latency_seconds",
            "From a whole fetch frame to its reply handed to the socket."),
        row(histogram::io_write_latency, "lance_io_write_latency_seconds",
            "Duration of one write to a segment."),
        row(histogram::io_flush_latency, "lance_io_flush_latency_seconds",
            "Duration of one flush of a segment."),
        row(histogram::ack_latency, "lance_ack_latency_seconds",
            "From a sealed batch to its being safe, when its acknowledgement is due."),
        row(histogram::tls_handshake, "lance_tls_handshake_seconds",
            "From an accepted connection to its completed TLS handshake."),
        stage(histogram::stage_parse, "parse"),
        stage(histogram::stage_queue, "queue"),
        stage(histogram::stage_write, "write"),
        stage(histogram::stage_flush, "flush"),
        stage(histogram::stage_ack, "ack"),
    },
    {
        row(info::build_version, "lance_build_info", "The version that runs; always 1.", "version"),
        row(info::io_backend, "lance_io_backend", "How files are written; always 1.", "backend"),
    }};

// -- buckets ---------------------------------------------------------------------------------

constexpr std::array<std::uint64_t, decades + 1> decade_ns{
    1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000, 10'000'000'000};

// The decade of a duration from 1 us to 10 s, or `decades` beyond.
std::size_t decade_of(std::uint64_t ns) noexcept {
  // log10(2) as 1233/4096 gives the decade from the bit width, one too high at most.
  const auto guess = (static_cast<std::size_t>(std::bit_width(ns)) * 1233) >> 12;
  const auto decade = guess > decades + 3 ? decades : guess - 3;
  return decade > 0 && ns < decade_ns[decade] ? decade - 1 : decade;
}

// The bounds that are exported: 1, 2 and 5 of each decade.
bool exported(std::size_t bucket) noexcept {
  if (bucket == 0)
    return true;
  const auto step = (bucket - 1) % steps_per_decade + 1;
  return step == 4 || step == 16 || step == steps_per_decade;
}

using family_list = std::vector<prometheus::MetricFamily>;

// The family of a row: the last one when the name goes on, else a new one.
prometheus::MetricFamily& family_of(family_list& families, const metric_row& row,
                                    prometheus::MetricType type) {
  if (families.empty() || families.back().name != row.name)
    families.push_back({std::string{row.name}, std::string{row.help}, type, {}});
  return families.back();
}

prometheus::ClientMetric labelled(const metric_row& row, std::string_view value) {
  prometheus::ClientMetric metric;
  if (!row.label.empty())
    metric.label.push_back({std::string{row.label}, std::string{value}});
  return metric;
}

prometheus::ClientMetric::Histogram to_prometheus(const histogram_snapshot& snapshot) {
  prometheus::ClientMetric::Histogram out;
  std::uint64_t below = 0;
  for (std::size_t i = 0; i + 1 < buckets; ++i) {
    below += snapshot.counts[i];
    if (exported(i))
      out.bucket.push_back({below, static_cast<double>(bucket_bound_ns(i)) / 1e9});
  }
  out.sample_count = below + snapshot.counts[buckets - 1];
  out.bucket.push_back({out.sample_count, std::numeric_limits<double>::infinity()});
  out.sample_sum = static_cast<double>(snapshot.sum_ns) / 1e9;
  return out;
}

} // namespace

const metric_table& metric_names() noexcept {
  return table;
}

std::size_t bucket_of(std::uint64_t ns) noexcept {
  if (ns <= decade_ns.front())
    return 0;
  if (ns > decade_ns.back())
    return buckets - 1;
  // Bounds belong to the bucket below them, so all is reckoned for the nanosecond before.
  const auto decade = decade_of(ns - 1);
  const auto step_ns = decade_ns[decade] / 4;
  return 1 + decade * steps_per_decade + (ns - 1 - decade_ns[decade]) / step_ns;
}

std::uint64_t bucket_bound_ns(std::size_t bucket) noexcept {
  LANCE_CHECK(bucket < buckets, bucket);
  if (bucket == 0)
    return decade_ns.front();
  if (bucket == buckets - 1)
    return std::numeric_limits<std::uint64_t>::max();
  const auto decade = (bucket - 1) / steps_per_decade;
  const auto step = (bucket - 1) % steps_per_decade + 1;
  return decade_ns[decade] + step * (decade_ns[decade] / 4);
}

std::uint64_t histogram_snapshot::count() const noexcept {
  std::uint64_t sum = 0;
  for (const auto n : counts)
    sum += n;
  return sum;
}

std::uint64_t histogram_snapshot::mean_ns() const noexcept {
  const auto n = count();
  return n == 0 ? 0 : sum_ns / n;
}

std::uint64_t histogram_snapshot::percentile_ns(double fraction) const noexcept {
  const auto n = count();
  if (n == 0)
    return 0;
  const auto wanted = std::clamp(fraction, 0.0, 1.0) * static_cast<double>(n);
  double below = 0;
  for (std::size_t i = 0; i + 1 < buckets; ++i) {
    const auto here = static_cast<double>(counts[i]);
    if (here > 0 && below + here >= wanted) {
      const auto low = i == 0 ? 0.0 : static_cast<double>(bucket_bound_ns(i - 1));
      const auto high = static_cast<double>(bucket_bound_ns(i));
      return static_cast<std::uint64_t>(low + (high - low) * ((wanted - below) / here));
    }
    below += here;
  }
  return decade_ns.back();
}

histogram_snapshot& histogram_snapshot::operator+=(const histogram_snapshot& other) noexcept {
  for (std::size_t i = 0; i < buckets; ++i)
    counts[i] += other.counts[i];
  sum_ns += other.sum_ns;
  return *this;
}

histogram_snapshot histogram_snapshot::since(const histogram_snapshot& earlier) const noexcept {
  histogram_snapshot left;
  for (std::size_t i = 0; i < buckets; ++i)
    left.counts[i] = counts[i] - earlier.counts[i];
  left.sum_ns = sum_ns - earlier.sum_ns;
  return left;
}

histogram_snapshot metric_set::read(histogram which) const noexcept {
  const auto& cells = histograms_[static_cast<std::size_t>(which)];
  histogram_snapshot copy;
  for (std::size_t i = 0; i < buckets; ++i)
    copy.counts[i] = cells.counts[i].load(std::memory_order_relaxed);
  copy.sum_ns = cells.sum_ns.load(std::memory_order_relaxed);
  return copy;
}

metric_set& metrics_registry::make_set() {
  const std::lock_guard lock{mutex_};
  sets_.push_back(std::make_unique<metric_set>());
  return *sets_.back();
}

void metrics_registry::set_info(info which, std::string text) {
  const std::lock_guard lock{mutex_};
  infos_[static_cast<std::size_t>(which)] = std::move(text);
}

std::uint64_t metrics_registry::total(counter which) const {
  const std::lock_guard lock{mutex_};
  std::uint64_t sum = 0;
  for (const auto& set : sets_)
    sum += set->read(which);
  return sum;
}

double metrics_registry::value(gauge which) const {
  const std::lock_guard lock{mutex_};
  const bool largest = table.gauge_rows[static_cast<std::size_t>(which)].largest;
  double answer = 0;
  for (const auto& set : sets_)
    answer = largest ? std::max(answer, set->read(which)) : answer + set->read(which);
  return answer;
}

histogram_snapshot metrics_registry::snapshot(histogram which) const {
  const std::lock_guard lock{mutex_};
  histogram_snapshot sum;
  for (const auto& set : sets_)
    sum += set->read(which);
  return sum;
}

std::string metrics_registry::text() const {
  using prometheus::MetricType;
  family_list families;
  for (const auto& row : table.counter_rows) {
    auto metric = labelled(row, row.label_value);
    metric.counter.value = static_cast<double>(total(static_cast<counter>(row.which)));
    family_of(families, row, MetricType::Counter).metric.push_back(std::move(metric));
  }
  for (const auto& row : table.gauge_rows) {
    auto metric = labelled(row, row.label_value);
    metric.gauge.value = value(static_cast<gauge>(row.which));
    family_of(families, row, MetricType::Gauge).metric.push_back(std::move(metric));
  }
  for (const auto& row : table.histogram_rows) {
    auto metric = labelled(row, row.label_value);
    metric.histogram = to_prometheus(snapshot(static_cast<histogram>(row.which)));
    family_of(families, row, MetricType::Histogram).metric.push_back(std::move(metric));
  }
  for (const auto& row : table.info_rows) {
    const std::lock_guard lock{mutex_};
    const auto& said = infos_[row.which];
    if (said.empty())
      continue;
    auto metric = labelled(row, said);
    metric.gauge.value = 1;
    family_of(families, row, MetricType::Gauge).metric.push_back(std::move(metric));
  }
  return prometheus::TextSerializer{}.Serialize(families);
}

} // namespace lance::runtime
