#include "bench/load_ingest.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <string>

#include "wire/control.hpp"
#include "wire/tlv.hpp"

namespace lance::bench {

namespace {

constexpr std::size_t batch_id_at = 12;
constexpr std::size_t receive_bytes = 64 * KiB; // 1,489 acknowledgements

// Random, so that nothing on the way can compress or deduplicate it.
std::vector<std::byte> random_payload(const ingest_plan& plan, std::mt19937_64& random) {
  std::vector<std::byte> payload;
  payload.reserve(std::size_t{plan.record_bytes} * plan.batch_records);
  std::vector<std::byte> value(plan.record_bytes - wire::tlv_header_bytes);
  for (std::uint32_t i = 0; i < plan.batch_records; ++i) {
    for (auto& each : value)
      each = static_cast<std::byte>(random());
    wire::append_record(payload, value);
  }
  return payload;
}

} // namespace

ingest_loop::ingest_loop(load_connection& connection, log_id log, const ingest_plan& plan)
    : connection_(connection), plan_(plan),
      frame_bytes_(wire::frame_header_bytes + std::size_t{plan.record_bytes} * plan.batch_records),
      frames_(frame_bytes_ * plan.window_frames), sent_ns_(plan.window_frames),
      received_(receive_bytes),
      cutter_(wire::reply_payload_bytes_max, wire::checksum_kind::iso_hdlc) {
  build_frames(log);
}

void ingest_loop::build_frames(log_id log) {
  std::mt19937_64 random{log.value};
  for (std::uint32_t slot = 0; slot < plan_.window_frames; ++slot) {
    const auto payload = random_payload(plan_, random);
    const auto header = wire::ingest_header(log, 0, 0, plan_.batch_records);
    (void)wire::encode_frame(header, wire::checksum_kind::iso_hdlc, payload,
                             byte_span{frames_}.subspan(slot * frame_bytes_, frame_bytes_));
  }
}

bool ingest_loop::may_send_more() const noexcept {
  return now_ns_ < counted_.end && (plan_.frames == 0 || prepared_ < plan_.frames);
}

ingest_outcome ingest_loop::run(span_ns counted) {
  counted_ = counted;
  now_ns_ = began_ns_ = now_ns();
  while (may_send_more() || answered_ < prepared_) {
    send_what_fits();
    if (sent_bytes_ < prepared_ * frame_bytes_)
      connection_.wait();
    else if (plan_.mb_per_s > 0) {
      const bool room = prepared_ - answered_ < plan_.window_frames && may_send_more();
      connection_.wait_until_ns(room ? due_ns(prepared_) : now_ns_ + 1 * s_in_ns);
    }
    receive_answers();
  }
  return std::move(outcome_);
}

std::uint64_t ingest_loop::due_ns(std::uint64_t frame) const noexcept {
  if (plan_.mb_per_s <= 0)
    return now_ns_;
  const auto bytes = static_cast<double>(frame * (frame_bytes_ - wire::frame_header_bytes));
  return began_ns_ + static_cast<std::uint64_t>(bytes / plan_.mb_per_s * 1e3);
}

void ingest_loop::send_what_fits() {
  for (; prepared_ - answered_ < plan_.window_frames && may_send_more(); ++prepared_) {
    const auto due = due_ns(prepared_);
    if (due > now_ns_)
      break;
    const auto slot = prepared_ % plan_.window_frames;
    store_le<std::uint64_t>(frames_.data() + slot * frame_bytes_ + batch_id_at, prepared_ + 1);
    sent_ns_[slot] = due;
  }
  while (sent_bytes_ < prepared_ * frame_bytes_) {
    const auto begin = sent_bytes_ % frames_.size();
    const auto length = std::min(prepared_ * frame_bytes_ - sent_bytes_, frames_.size() - begin);
    const auto sent = connection_.send_some(byte_view{frames_}.subspan(begin, length));
    outcome_.sends += now_ns_ >= counted_.begin ? 1 : 0;
    sent_bytes_ += sent;
    if (sent < length)
      return;
  }
}

// Blocks unless something waits to be sent or to be due: then the waiting is done.
void ingest_loop::receive_answers() {
  const bool waited = sent_bytes_ < prepared_ * frame_bytes_ || plan_.mb_per_s > 0;
  const auto room = byte_span{received_}.subspan(received_bytes_);
  received_bytes_ += waited ? connection_.receive_some(room) : connection_.receive(room);
  now_ns_ = now_ns();
  std::size_t at = 0;
  for (;;) {
    const auto cut = cutter_.next(byte_view{received_}.subspan(at, received_bytes_ - at));
    if (cut.outcome == wire::verdict::need_more)
      break;
    if (cut.outcome != wire::verdict::ok)
      give_up("the broker sent bytes that are no frame");
    take_answer(cut);
    at += cut.consumed;
  }
  received_bytes_ -= at;
  std::memmove(received_.data(), received_.data() + at, received_bytes_);
}

void ingest_loop::take_answer(const wire::frame_cut& answer) {
  const auto kind = wire::classify(answer.header);
  const bool stored = kind == wire::frame_kind::ack;
  if (!stored && kind != wire::frame_kind::backpressure)
    give_up("ingest refused: " + std::string{as_text(answer.payload)});
  if (stored && answer.header.batch_id != answered_ + 1)
    give_up("acknowledgements out of order");
  const auto sent_ns = sent_ns_[answered_ % plan_.window_frames];
  ++answered_;
  if (now_ns_ < counted_.begin || now_ns_ >= counted_.end)
    return;
  if (!stored) {
    ++outcome_.refused;
    return;
  }
  ++outcome_.frames;
  outcome_.payload_bytes += frame_bytes_ - wire::frame_header_bytes;
  outcome_.acks.add(now_ns_ - sent_ns);
}

} // namespace lance::bench
