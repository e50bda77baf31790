// A log with its appender and reader on one thread over any disk: what ingestion and poller are in
// the server, played by a test.
#pragma once

#include <catch2/catch.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/buffer_pool.hpp"
#include "runtime/clock.hpp"
#include "storage/appender.hpp"
#include "storage/log.hpp"
#include "storage/reader.hpp"
#include "storage/tail_cache.hpp"

namespace lance::storage::testing {

/// Bytes that differ from batch to batch and from place to place.
inline std::vector<std::byte> payload_of(std::uint64_t number, std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::uint64_t state = number * 0x9e3779b97f4a7c15 + 1;
  for (std::size_t at = 0; at < size; at += 8) {
    state = state * 6364136223846793005 + 1442695040888963407;
    const auto word = state ^ (state >> 29);
    std::memcpy(bytes.data() + at, &word, std::min<std::size_t>(8, size - at));
  }
  return bytes;
}

struct setup {
  options chosen;
  log_policy policy;
  std::uint32_t pool_buffers = 96;
  std::size_t buffer_bytes = 64 * KiB;

  setup() {
    chosen.segment_bytes = 32 * MiB;
    chosen.tail_cache_bytes = 1 * MiB;
    chosen.preallocate_bytes = 0;
    policy.log = log_id{7};
    policy.directory = "data/segments/t/0";
  }
};

class sync_read final : public read_operation {
 public:
  void finished(result<read_outcome> found) override {
    outcome = found;
    done = true;
  }
  result<read_outcome> outcome;
  bool done = false;
};

class log_bench final : public log_owner {
 public:
  /// `drive` makes the disk go on: completes what is under way; false when there was nothing.
  log_bench(disk& door, setup how, std::function<bool()> drive)
      : how_(std::move(how)), drive_(std::move(drive)), cache_(how_.chosen.tail_cache_bytes) {
    append_pool_ = *runtime::buffer_pool::make({how_.pool_buffers, how_.buffer_bytes, -1, false});
    read_pool_ = *runtime::buffer_pool::make({how_.chosen.read_depth, 64 * KiB, -1, false});
    environment_.door = &door;
    environment_.cache = &cache_;
    environment_.clock = &clock;
    environment_.owner = this;
    environment_.quarantine = "data/quarantine";
    environment_.chosen = how_.chosen;
  }
  ~log_bench() { stop(); }

  log_environment& environment() { return environment_; }
  runtime::buffer_pool& append_pool() { return *append_pool_; }
  tail_cache& cache() { return cache_; }

  /// Opens the log and makes its appender.
  result<> open() {
    auto opened = storage::log::open(environment_, how_.policy);
    if (!opened)
      return tl::unexpected(opened.error());
    log_ = std::move(*opened);
    reader_ = std::make_unique<reader>(*read_pool_, how_.chosen);
    appender_ = std::make_unique<appender>(log_->start(), how_.chosen, *append_pool_,
                                           stamp_identity{node_id{1}, 0});
    return {};
  }
  /// The next open() is the operator's command to lift a fence, or not.
  void lift_fence(bool wanted) { how_.policy.lift_fence = wanted; }
  /// As if the process ended here: nothing more is written.
  void stop() {
    appender_.reset();
    reader_.reset();
    log_.reset();
  }

  storage::log& log() { return *log_; }
  const std::string& directory() const { return how_.policy.directory; }
  std::uint64_t disk_bytes() const { return reader_->disk_bytes(); } ///< read by the reader
  appender& front() { return *appender_; }

  result<sealed_batch> append(byte_view payload, std::uint32_t records = 1) {
    append_request request;
    const std::array pieces{payload.first(payload.size() / 3), payload.subspan(payload.size() / 3)};
    request.payload = pieces;
    request.payload_crc = wire::checksum(request.payload_sum, payload);
    request.record_count = records;
    request.wall_ns = clock.wall_ns();
    request.producer_id = stamp.producer;
    request.producer_epoch = stamp.epoch;
    request.producer_sequence = stamp.sequence;
    return appender_->append(request);
  }
  /// The batch that comes next, of `size` bytes.
  result<sealed_batch> append_next(std::size_t size) {
    return append(payload_of(appender_->next_number().value, size));
  }
  /// Hands over what was appended and starts writing.
  void turn() {
    while (appender_->collect(run_))
      log_->submit(run_);
    log_->pump(clock.steady_ns());
    take();
  }
  void take() {
    last = log_->take_progress();
    if (last.grant_changed)
      appender_->set_grant(last.grant);
    if (last.failed)
      failed = true;
  }
  bool drive() {
    const bool any = drive_();
    take();
    return any;
  }
  /// Until nothing is under way; at most some steps, so that a mistake ends.
  void settle() {
    turn();
    for (int i = 0; i < 100'000 && (drive() || !log_->idle()); ++i)
      turn();
  }
  void tick() {
    clock.advance_ns(how_.chosen.tick_ns);
    log_->tick(clock.steady_ns());
    take();
  }
  /// Appends and makes durable.
  void append_durably(std::size_t batches, std::size_t size) {
    for (std::size_t i = 0; i < batches; ++i) {
      clock.advance_ns(1000);
      auto sealed = append_next(size);
      for (int tries = 0; !sealed && tries < 1000; ++tries) {
        REQUIRE(sealed.error().code == errc::exhausted);
        settle();
        appender_->release_idle();
        cache_.shrink_to(0); // as a shard does when its pool is dry
        sealed = append_next(size);
      }
      REQUIRE(sealed);
      sizes.push_back(size);
    }
    settle();
  }
  /// Ends the active segment as retention does, and waits until it is closed.
  void end_segment() {
    const auto ended = appender_->end_segment();
    REQUIRE(ended);
    turn();
    log_->end_segment(*ended);
    take();
    for (int i = 0; i < 1000 && log_->ending(); ++i) {
      settle();
      tick();
    }
    REQUIRE_FALSE(log_->ending());
  }
  /// Clean end of the log.
  void close() {
    settle();
    log_->close();
    for (int i = 0; i < 10'000 && !log_->closed(); ++i) {
      drive();
      tick();
    }
    REQUIRE(log_->closed());
    stop();
  }

  result<read_outcome> read(read_operation& operation, bool& done) {
    reader_->start(operation, *log_);
    for (int i = 0; i < 100'000 && !done; ++i)
      drive();
    REQUIRE(done);
    return {};
  }
  result<std::vector<std::byte>> read_bytes(std::uint64_t start, std::size_t room,
                                            read_outcome* told = nullptr) {
    std::vector<std::byte> into(room);
    sync_read operation;
    operation.start = byte_offset{start};
    operation.into = into;
    (void)read(operation, operation.done);
    if (!operation.outcome)
      return tl::unexpected(operation.outcome.error());
    if (told != nullptr)
      *told = *operation.outcome;
    into.resize(operation.outcome->bytes);
    return into;
  }
  /// Every batch from `first` to the durable end is there with the payload payload_of() gives it.
  void verify_all(batch_number first) {
    for (auto at = first; at < log_->durable_next(); at = batch_number{at.value + 1}) {
      const auto found = log_->find_number(at);
      REQUIRE(found);
      const auto expected = payload_of(at.value, found->entry.payload_length);
      const auto got = read_bytes(found->entry.offset.value, expected.size());
      REQUIRE(got);
      REQUIRE(*got == expected);
    }
  }

  void log_changed(storage::log&) override { ++changes; }

  runtime::manual_clock clock;
  log_progress last;
  bool failed = false;
  unsigned changes = 0;
  producer_stamp stamp;           ///< of the batches appended
  std::vector<std::size_t> sizes; ///< of the batches appended durably

 private:
  setup how_;
  std::function<bool()> drive_;
  tail_cache cache_;
  std::unique_ptr<runtime::buffer_pool> append_pool_;
  std::unique_ptr<runtime::buffer_pool> read_pool_;
  log_environment environment_;
  std::unique_ptr<storage::log> log_;
  std::unique_ptr<reader> reader_;
  std::unique_ptr<appender> appender_;
  sealed_run run_;
};

} // namespace lance::storage::testing
