// What the stages in memory cost: judging and cutting frames, checksums, records, appending.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "runtime/buffer_pool.hpp"
#include "storage/appender.hpp"
#include "wire/checksum.hpp"
#include "wire/frame.hpp"
#include "wire/tlv.hpp"

using namespace lance;

namespace {

std::vector<std::byte> random_bytes(std::size_t size) {
  std::mt19937_64 random{size};
  std::vector<std::byte> bytes(size);
  for (auto& each : bytes)
    each = static_cast<std::byte>(random());
  return bytes;
}

std::size_t size_of(const benchmark::State& state) {
  return static_cast<std::size_t>(state.range(0));
}

void count_bytes(benchmark::State& state, std::size_t per_turn) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(per_turn));
}

std::vector<std::byte> frames_of(std::size_t payload_bytes, std::size_t count) {
  const auto payload = random_bytes(payload_bytes);
  const auto each = wire::frame_header_bytes + payload_bytes;
  std::vector<std::byte> frames(each * count);
  for (std::size_t i = 0; i < count; ++i)
    (void)wire::encode_frame(wire::ingest_header(log_id{1}, i + 1, 0, 1),
                             wire::checksum_kind::iso_hdlc, payload,
                             byte_span{frames}.subspan(i * each, each));
  return frames;
}

void judge_header(benchmark::State& state) {
  const auto frame = frames_of(0, 1);
  for (auto _ : state)
    benchmark::DoNotOptimize(wire::judge_header(frame, wire::checksum_kind::iso_hdlc, 16 * MiB));
}

// 64 frames, checksums of their payloads included.
void cut_frames(benchmark::State& state) {
  constexpr std::size_t count = 64;
  const auto frames = frames_of(size_of(state), count);
  for (auto _ : state) {
    wire::frame_cutter cutter{16 * MiB};
    byte_view rest{frames};
    while (!rest.empty()) {
      const auto cut = cutter.next(rest);
      if (cut.outcome != wire::verdict::ok)
        return state.SkipWithError("a frame does not hold");
      rest = rest.subspan(cut.consumed);
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(count));
  count_bytes(state, frames.size());
}

void checksum(benchmark::State& state, wire::checksum_kind kind) {
  const auto bytes = random_bytes(size_of(state));
  for (auto _ : state)
    benchmark::DoNotOptimize(wire::checksum(kind, bytes));
  count_bytes(state, bytes.size());
}

void walk_records(benchmark::State& state) {
  constexpr std::int64_t count = 128;
  std::vector<std::byte> records;
  const auto value = random_bytes(size_of(state));
  for (std::int64_t i = 0; i < count; ++i)
    wire::append_record(records, value);
  for (auto _ : state) {
    wire::tlv_reader reader{records};
    while (const auto record = reader.next())
      benchmark::DoNotOptimize(record->value.data());
    if (reader.state() != wire::tlv_state::done)
      return state.SkipWithError("the records do not end");
  }
  state.SetItemsProcessed(state.iterations() * count);
}

// The appender with the poller's part played at once: runs are collected and dropped, space is
// always granted.
class appending {
 public:
  appending() : pool_(runtime::buffer_pool::make({96, 1 * MiB, -1, true}).value()) {
    storage::append_start start;
    start.log = log_id{1};
    start.next_number = batch_number{1};
    start.grant = {storage::log_state::open, 0, 0, chosen_.segment_bytes};
    to_.emplace(start, chosen_, *pool_, storage::stamp_identity{});
  }

  [[nodiscard]] bool append(const storage::append_request& request) {
    return to_->append(request).has_value();
  }
  void collect() {
    while (to_->collect(run_)) {
      segments_ += run_.starts_segment ? 1 : 0;
      run_.clear();
    }
    to_->set_grant(
        {storage::log_state::open, segments_, chosen_.segment_bytes, chosen_.segment_bytes});
  }

 private:
  storage::options chosen_;
  std::unique_ptr<runtime::buffer_pool> pool_;
  std::optional<storage::appender> to_;
  storage::sealed_run run_;
  std::uint64_t segments_ = 0;
};

// Place, stamp, header, copy: per batch, with a collect after every 16 batches.
void append_batch(benchmark::State& state) {
  const auto payload = random_bytes(size_of(state));
  const std::array<byte_view, 1> pieces{payload};
  storage::append_request request;
  request.payload = pieces;
  request.payload_crc = wire::checksum(request.payload_sum, payload);
  request.record_count = 1;
  appending to;
  std::uint64_t batches = 0;
  for (auto _ : state) {
    request.wall_ns = ++batches;
    if (!to.append(request))
      return state.SkipWithError("a batch was refused");
    if (batches % 16 == 0)
      to.collect();
  }
  count_bytes(state, payload.size());
}

} // namespace

BENCHMARK(judge_header);
BENCHMARK(cut_frames)->Arg(128)->Arg(1024)->Arg(128 * 1024);
BENCHMARK_CAPTURE(checksum, iso_hdlc, wire::checksum_kind::iso_hdlc)
    ->RangeMultiplier(4)
    ->Range(64, 1 << 20);
BENCHMARK_CAPTURE(checksum, castagnoli, wire::checksum_kind::castagnoli)
    ->RangeMultiplier(4)
    ->Range(64, 1 << 20);
BENCHMARK(walk_records)->Arg(100)->Arg(1024);
BENCHMARK(append_batch)->Arg(128)->Arg(1024)->Arg(16 * 1024)->Arg(128 * 1024);

BENCHMARK_MAIN();
