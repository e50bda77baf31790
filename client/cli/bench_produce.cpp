#include <algorithm>
#include <array>
#include <vector>

#include "client/cli/bench.hpp"
#include "client/cli/interrupt.hpp"
#include "client/record.hpp"
#include "runtime/clock.hpp"

namespace lance::client::cli {

namespace {

constexpr std::size_t batch_id_at = 12; // in the frame header
constexpr std::size_t gather_max = 16;  // frames per system call
// A server that asks to slow down gets this long.
constexpr std::uint64_t pause_ns = 10 * ms_in_ns;

class produce_loop {
 public:
  produce_loop(channel& line, const bench_load& load)
      : line_(line), load_(load), window_(std::max(1U, load.window_records / load.batch_records)),
        due_ns_(window_), heads_(gather_max) {
    build_payload();
    for (auto& head : heads_)
      build_head(head);
  }

  bench_result run() {
    result_.first_ns = deadline::now_ns();
    end_ns_ = result_.first_ns + load_.duration_ns;
    auto silent_at = deadline::after(patience);
    while (!result_.problem) {
      now_ns_ = deadline::now_ns();
      if (interrupted())
        end_ns_ = std::min(end_ns_, now_ns_);
      if (now_ns_ >= end_ns_ && answered_ == begun_)
        break;
      begin_frames();
      if (!send() || !receive())
        break;
      if (progress_)
        silent_at = deadline::after(patience);
      else if (silent_at.passed())
        fail_with(
            network_failure({errc::timed_out, 0}, "waiting for acknowledgements", line_.node()));
      wait();
    }
    return std::move(result_);
  }

 private:
  using header_bytes = std::array<std::byte, wire::frame_header_bytes>;
  static constexpr std::chrono::seconds patience{30};

  void build_payload() {
    const std::vector<std::byte> value(load_.value_bytes, std::byte{'x'});
    for (std::uint32_t n = 0; n < load_.batch_records; ++n)
      encode_record(payload_, framing::records, std::nullopt, value);
  }

  void build_head(header_bytes& head) const {
    const auto header =
        wire::ingest_header(load_.log, 0, runtime::real_clock{}.wall_ns(), load_.batch_records);
    wire::encode_header(wire::seal(header, line_.kind(), payload_), line_.kind(), head.data());
  }

  // When the frame with this number is to be sent; now, without a rate.
  [[nodiscard]] std::uint64_t due_of(std::uint64_t number) const {
    if (load_.records_per_s <= 0)
      return now_ns_;
    const auto records = static_cast<double>(number * load_.batch_records);
    return result_.first_ns + static_cast<std::uint64_t>(records / load_.records_per_s * 1e9);
  }

  // Takes frames into the group being sent, if the last group is out.
  void begin_frames() {
    if (group_ != 0 || now_ns_ < paused_until_ns_)
      return;
    const std::size_t most = load_.stamped ? 1 : gather_max; // a stamp changes the one payload
    while (group_ < most && begun_ - answered_ < window_ && now_ns_ < end_ns_) {
      const auto due = due_of(begun_);
      if (due > now_ns_ || due >= end_ns_)
        break;
      due_ns_[begun_ % window_] = due;
      if (load_.stamped) {
        store_le(payload_.data() + wire::tlv_header_bytes, due);
        build_head(heads_[0]);
      }
      ++begun_;
      store_le(heads_[group_].data() + batch_id_at, begun_); // ids count from 1
      ++group_;
    }
    group_sent_ = 0;
  }

  bool send() {
    while (group_ != 0) {
      std::array<byte_view, 2 * gather_max> parts;
      std::size_t count = 0;
      auto skip = group_sent_;
      for (std::size_t frame = 0; frame < group_; ++frame)
        for (const byte_view part : {byte_view{heads_[frame]}, byte_view{payload_}}) {
          const auto skipped = std::min(skip, part.size());
          skip -= skipped;
          if (skipped < part.size())
            parts[count++] = part.subspan(skipped);
        }
      const auto sent = line_.line().send(std::span{parts}.first(count));
      if (!sent)
        return fail_with(network_failure(sent.error(), "sending", line_.node()));
      if (*sent == 0)
        return true;
      group_sent_ += *sent;
      if (group_sent_ == group_ * (wire::frame_header_bytes + payload_.size()))
        group_ = 0;
      begin_frames();
    }
    return true;
  }

  bool receive() {
    progress_ = false;
    while (true) {
      const auto reply = line_.try_receive();
      if (!reply)
        return fail_with(reply.error());
      if (!*reply)
        return true;
      progress_ = true;
      if (!count(**reply))
        return false;
    }
  }

  bool count(const reply_frame& reply) {
    if (reply.is(wire::command::error_response))
      return fail_with(failure_of_reply(reply.payload, line_.node()));
    const bool acked = reply.kind() == wire::frame_kind::ack;
    if (answered_ == begun_ || (!acked && reply.kind() != wire::frame_kind::backpressure) ||
        (acked && reply.header.batch_id != answered_ + 1))
      return fail_with(network_failure({errc::bad_frame, 0}, "receiving", line_.node()));
    const auto due = due_ns_[answered_ % window_];
    ++answered_;
    if (!acked) {
      result_.refused += load_.batch_records;
      paused_until_ns_ = deadline::now_ns() + pause_ns;
      return true;
    }
    result_.last_ns = deadline::now_ns();
    result_.latency.record(result_.last_ns - due, load_.batch_records);
    result_.records += load_.batch_records;
    result_.value_bytes += std::uint64_t{load_.batch_records} * load_.value_bytes;
    return true;
  }

  void wait() {
    const bool room = begun_ - answered_ < window_;
    if (group_ == 0 && room && load_.records_per_s <= 0 && now_ns_ < end_ns_ &&
        now_ns_ >= paused_until_ns_)
      return; // there is always a next frame
    auto until =
        group_ == 0 && room ? std::max(due_of(begun_), paused_until_ns_) : now_ns_ + s_in_ns;
    if (now_ns_ < end_ns_)
      until = std::min(until, end_ns_);
    else
      until = now_ns_ + s_in_ns;
    const auto in = group_ != 0 ? interest::both : interest::receive;
    if (const auto ready = line_.line().wait(in, deadline::at_ns(until)); !ready)
      fail_with(network_failure(ready.error(), "waiting", line_.node()));
  }

  bool fail_with(failure what) {
    result_.problem = std::move(what);
    return false;
  }

  channel& line_;
  const bench_load& load_;
  std::uint64_t window_;              ///< frames
  std::vector<std::uint64_t> due_ns_; ///< of the frames in flight, by number modulo window
  std::vector<std::byte> payload_;    ///< of every frame
  std::vector<header_bytes> heads_;   ///< of the group being sent
  std::size_t group_ = 0;             ///< frames in it
  std::size_t group_sent_ = 0;        ///< bytes of it
  std::uint64_t begun_ = 0;           ///< frames ever
  std::uint64_t answered_ = 0;
  std::uint64_t now_ns_ = 0;
  std::uint64_t end_ns_ = 0;
  std::uint64_t paused_until_ns_ = 0;
  bool progress_ = false;
  bench_result result_;
};

} // namespace

void bench_result::add(const bench_result& other) {
  records += other.records;
  value_bytes += other.value_bytes;
  refused += other.refused;
  first_ns = first_ns == 0 ? other.first_ns : std::min(first_ns, other.first_ns);
  last_ns = std::max(last_ns, other.last_ns);
  latency.add(other.latency);
  if (!problem)
    problem = other.problem;
}

bench_result bench_produce(const connection_options& servers, const bench_load& load) {
  auto line = connector{servers}.connect(deadline::after(servers.connect_timeout));
  if (line)
    return produce_loop{**line, load}.run();
  bench_result failed;
  failed.problem = line.error();
  return failed;
}

} // namespace lance::client::cli
