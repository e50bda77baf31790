#include <algorithm>

#include "client/cli/bench.hpp"
#include "client/cli/interrupt.hpp"
#include "wire/tlv.hpp"

namespace lance::client::cli {

namespace {

class fetch_loop {
 public:
  fetch_loop(channel& line, const bench_load& load) : line_(line), load_(load) {
    result_.first_ns = result_.last_ns = deadline::now_ns();
  }

  // Where the next request begins; the result holds the problem when there is none. `each` gets
  // every batch.
  template <class Each>
  std::optional<byte_offset> fetch(byte_offset at, std::uint32_t max_bytes, std::uint32_t wait_ms,
                                   Each each) {
    const auto payload =
        wire::encode(wire::fetch_batches_request{load_.log, at, max_bytes, wait_ms, 1});
    const auto reply = line_.call(wire::control_header(wire::command::fetch_batches), payload,
                                  deadline::after(std::chrono::seconds{30}));
    if (!reply)
      return fail_with(reply.error());
    if (reply->is(wire::command::error_response))
      return fail_with(failure_of_reply(reply->payload, line_.node()));
    auto batches = wire::batches_view::decode(reply->payload);
    if (!reply->is(wire::command::batches_reply) || !batches)
      return fail_with(network_failure({errc::bad_frame, 0}, "fetching", line_.node()));
    const auto now = deadline::now_ns();
    while (const auto batch = batches->next()) {
      each(*batch, now);
      result_.records += batch->entry.record_count;
      result_.value_bytes += batch->entry.payload_length -
                             std::min<std::uint64_t>(batch->entry.payload_length,
                                                     std::uint64_t{batch->entry.record_count} *
                                                         wire::tlv_header_bytes);
      result_.last_ns = now;
    }
    return batches->head().next;
  }

  std::nullopt_t fail_with(failure what) {
    result_.problem = std::move(what);
    return std::nullopt;
  }

  [[nodiscard]] bench_result& result() noexcept { return result_; }

 private:
  channel& line_;
  const bench_load& load_;
  bench_result result_;
};

template <class Loop>
bench_result with_line(const connection_options& servers, const bench_load& load, Loop loop) {
  auto line = connector{servers}.connect(deadline::after(servers.connect_timeout));
  if (!line) {
    bench_result failed;
    failed.problem = line.error();
    return failed;
  }
  fetch_loop fetcher{**line, load};
  loop(fetcher);
  return std::move(fetcher.result());
}

} // namespace

bench_result bench_consume(const connection_options& servers, const bench_load& load,
                           std::uint32_t fetch_bytes) {
  return with_line(servers, load, [&](fetch_loop& fetcher) {
    const auto until =
        deadline::after(std::chrono::nanoseconds{static_cast<std::int64_t>(load.duration_ns)});
    byte_offset at;
    while (!until.passed() && !interrupted()) {
      const auto asked_ns = deadline::now_ns();
      const auto next = fetcher.fetch(at, fetch_bytes, 0, [](const auto&, std::uint64_t) {});
      if (!next)
        return;
      fetcher.result().latency.record(deadline::now_ns() - asked_ns);
      at = *next == at ? byte_offset{} : *next; // the end: from the start again
    }
  });
}

bench_result bench_follow(const connection_options& servers, const bench_load& load,
                          byte_offset start, const std::atomic<bool>& stop,
                          const std::atomic<std::uint64_t>& expected) {
  return with_line(servers, load, [&](fetch_loop& fetcher) {
    constexpr std::size_t stamp_end = wire::tlv_header_bytes + sizeof(std::uint64_t);
    auto& result = fetcher.result();
    auto give_up = deadline::never();
    bool stopping = false;
    byte_offset at = start;
    while (!give_up.passed() && !(stopping && result.records >= expected)) {
      const auto next =
          fetcher.fetch(at, 1 * MiB, 100, [&](const wire::fetched_batch& batch, std::uint64_t now) {
            if (batch.payload.size() < stamp_end)
              return; // somebody else's
            const auto due = load_le<std::uint64_t>(batch.payload.data() + wire::tlv_header_bytes);
            if (due <= now)
              result.latency.record(now - due, batch.entry.record_count);
          });
      if (!next)
        return;
      at = *next;
      if (stop && !stopping) {
        stopping = true;
        give_up = deadline::after(std::chrono::seconds{1});
      }
    }
  });
}

} // namespace lance::client::cli
