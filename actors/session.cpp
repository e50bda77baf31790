#include "actors/session.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "runtime/check.hpp"
#include "wire/error_reply.hpp"

namespace lance::actors {

using wire::frame_header_bytes;
using wire::frame_kind;

std::string refusal_sentence(errc code, std::uint32_t topic) {
  const auto name = "topic " + std::to_string(topic);
  switch (code) {
  case errc::topic_not_found:
    return "Topic not found (" + name + ")";
  case errc::not_authenticated:
    return "Authentication required";
  case errc::not_authorized:
    return "no rule lets this identity do this with " + name;
  case errc::read_only:
    return name + " takes no writes now: the disk is full, or its log is closed or damaged; reads "
                  "go on";
  case errc::log_fenced:
    return name +
           " takes no writes since one failed; reads go on. See that the disk is well, then: "
           "lnc topic unfence <its name>";
  case errc::log_opening:
    return name + " is being recovered after a start; try again";
  case errc::too_large:
    return "the batch does not fit into a segment";
  case errc::unsupported:
    return "this compression algorithm is not supported";
  case errc::invalid_request:
    return "the request's payload is not what its command asks for";
  case errc::offset_out_of_range:
    return "the offset is outside what " + name + " holds";
  case errc::corrupt:
    return "stored data of " + name + " does not verify; see the broker's log";
  case errc::throttled:
    return "the server is at its limit; try again";
  case errc::out_of_sequence:
    return "a batch of this producer that goes before is not in " + name;
  case errc::unknown_producer:
    return name + " does not know this producer, and this is not its first batch";
  case errc::fenced:
    return "a later epoch of this producer has written to " + name;
  case errc::io_failed:
    return "the disk failed, or the log of " + name + " could not be opened; see the broker's log";
  default:
    return std::string{describe(code)};
  }
}

std::string quota_sentence(std::uint64_t wait_ms) {
  return "over quota; retry after " + std::to_string(wait_ms) + " ms";
}

std::string damage_sentence(const read_reply& reply) {
  if (reply.damaged_end <= reply.damaged)
    return refusal_sentence(errc::corrupt, reply.log.value);
  return "stored data of topic " + std::to_string(reply.log.value) + " from offset " +
         std::to_string(reply.damaged.value) + " does not verify; offset " +
         std::to_string(reply.damaged_end.value) + " is behind it";
}

session::session(session_host& host, std::uint16_t network, std::uint32_t number,
                 std::uint32_t payload_limit, assembly_budget& budget)
    : host_(host), network_(network), number_(number), payload_limit_(payload_limit),
      budget_(budget) {
  inputs_.reserve(8);
}

void session::begin(runtime::reactor& io, int socket) {
  reset();
  open_with(io.add(socket, *this));
}

result<> session::begin(runtime::reactor& io, int socket, secure_stream& through,
                        std::shared_ptr<const runtime::tls_context> context) {
  reset();
  const auto begun = through.begin(io, socket, std::move(context), *this);
  if (!begun)
    return tl::unexpected{begun.error()};
  open_with(**begun);
  return {};
}

void session::reset() {
  LANCE_CHECK(free(), number_);
  ++generation_;
  assembler_.emplace(payload_limit_, budget_);
  who_.reset();
  producer_ = {};
  last_access = {};
  quota_name.clear();
  held_until_ns = 0;
  paid_ = false;
  begun_ns = host_.now_ns();
  failed_logins = 0;
  closing_ = draining_ = parting_ = peer_done_ = held_ = barrier_ = false;
  sending_ = sending_body_ = false;
  out_size_ = 0;
  replies_ = reply_queue{};
  last_receive_ns_ = host_.now_ns();
}

void session::open_with(runtime::socket_handle& handle) {
  handle_ = &handle;
  receiving_ = true;
  handle_->resume_receive();
}

// -- in --------------------------------------------------------------------------------------

void session::received(runtime::buffer_ref buffer, std::uint32_t size) {
  if (closing_ || parting_) // a drain takes no further requests
    return;
  last_receive_ns_ = host_.now_ns();
  inputs_.push_back({std::move(buffer), 0, size});
  if (inputs_.size() - first_input_ > inputs_waiting_max && receiving_) {
    receiving_ = false;
    handle_->pause_receive(); // TCP pushes back until the waiting inputs are cut
  }
  host_.activate(*this);
}

void session::receive_ended(std::int32_t error) {
  if (closing_)
    return;
  peer_done_ = true;
  receiving_ = false;
  if (error < 0 || parting_)
    close();
  else
    host_.activate(*this);
}

void session::work() {
  if (closing_ || parting_ || free())
    return;
  while (!closing_) {
    if (held_) {
      if (!dispatch())
        break;
      held_ = false;
      assembler_->handed_on();
      continue;
    }
    if (barrier_ || !replies_.has_room() || first_input_ == inputs_.size())
      break;
    auto& in = inputs_[first_input_];
    byte_view rest{bytes_of(in), in.end - in.begin};
    const auto step = assembler_->next(rest);
    in.begin = in.end - static_cast<std::uint32_t>(rest.size());
    if (step == assembly::frame) {
      request_ns_ = host_.now_ns();
      paid_ = over_quota_noted = false;
      held_ = !dispatch();
      if (held_)
        break;
      assembler_->handed_on();
    } else if (step == assembly::need_more) {
      in.buffer.reset();
      if (++first_input_ == inputs_.size() || first_input_ > inputs_waiting_max) {
        inputs_.erase(inputs_.begin(), inputs_.begin() + static_cast<std::ptrdiff_t>(first_input_));
        first_input_ = 0;
      }
    } else if (step == assembly::no_memory) {
      host_.wants_assembly(*this);
      break;
    } else {
      host_.protocol_fault(*this, assembler_->fault());
      close(); // silently: no reply precedes the end of a connection that broke the framing
      return;
    }
  }
  if (closing_)
    return;
  if (barrier_ && !held_)
    keep_apart();
  if (!receiving_ && !peer_done_ && !draining_ && inputs_.size() - first_input_ <= 1) {
    receiving_ = true;
    handle_->resume_receive();
  }
  flush();
}

// A request may be answered in a while (a reader who waits for more): what little came after it
// must not hold a receive buffer meanwhile, of which there are fewer than connections.
void session::keep_apart() {
  std::size_t bytes = 0;
  bool pooled = false;
  for (auto i = first_input_; i < inputs_.size(); ++i) {
    bytes += inputs_[i].end - inputs_[i].begin;
    pooled = pooled || inputs_[i].buffer;
  }
  if (!pooled || bytes > small_frame_bytes)
    return;
  kept_.resize(small_frame_bytes); // once per connection
  std::uint32_t size = 0;
  for (auto i = first_input_; i < inputs_.size(); ++i) {
    const auto& in = inputs_[i];
    const auto more = in.end - in.begin;
    std::memmove(kept_.data() + size, bytes_of(in), more); // the first may lie in kept_ already
    size += more;
  }
  inputs_.clear();
  first_input_ = 0;
  inputs_.push_back({{}, 0, size});
}

bool session::dispatch() {
  const auto& header = assembler_->header();
  switch (wire::classify(header)) {
  case frame_kind::ingest:
    return dispatch_ingest();
  case frame_kind::keepalive:
    if (!replies_.has_room())
      return false;
    replies_.open({.kind = reply_kind::keepalive, .ready = true, .began_ns = request_ns_});
    return true;
  case frame_kind::control: {
    // Requests other than ingest see all that this connection asked for before: they wait until
    // every earlier reply has been decided, and nothing after them is read until they are answered.
    if (!replies_.empty() || sending_body_)
      return false;
    const auto standing = ask_quota();
    if (standing == quota::held)
      return false;
    barrier_ = true;
    body_ticket_ = replies_.open({.kind = reply_kind::body, .began_ns = request_ns_});
    if (standing == quota::refused) {
      refuse(errc::throttled, quota_sentence(quota_wait_ms_));
      return true;
    }
    if (host_.request(*this, header, assembler_->pieces()))
      return true;
    replies_.retract();
    barrier_ = false;
    host_.wants_memory(*this);
    return false;
  }
  default:
    host_.strange_frame(wire::classify(header));
    return true;
  }
}

// The current frame goes on, waits, or is refused. Asked again when its time has come; a frame that
// was within quota is not counted twice when it has to wait for something else.
session::quota session::ask_quota() {
  if (paid_)
    return quota::within;
  const auto wait_ns = host_.quota_wait(*this, assembler_->header(), assembler_->pieces());
  paid_ = wait_ns == 0;
  if (paid_)
    return quota::within;
  quota_wait_ms_ = std::max<std::uint64_t>(wait_ns / ms_in_ns, 1);
  return host_.hold_for_quota(*this, wait_ns) ? quota::held : quota::refused;
}

bool session::dispatch_ingest() {
  // record 3/9: credit is left
  if (!replies_.has_room())
    return false;
  const auto& header = assembler_->header();
  reply_slot slot{.kind = reply_kind::ack,
                  .topic = header.topic_id,
                  .batch_id = header.batch_id,
                  .began_ns = request_ns_};
  if (header.payload_length == 0) {
    slot.ready = true; // nothing to store: acknowledged, because silence would hang the client
    replies_.open(slot);
    return true;
  }
  if (header.topic_id > client_log_max) {
    slot.ready = slot.refused = true;
    slot.refusal = errc::topic_not_found;
    replies_.open(slot);
    return true;
  }
  if (const auto refusal = host_.judge_ingest(*this, header.topic_id)) {
    slot.ready = slot.refused = true;
    slot.refusal = *refusal;
    replies_.open(slot);
    return true;
  }
  const auto standing = ask_quota();
  if (standing == quota::held)
    return false;
  if (standing == quota::refused) {
    slot.ready = slot.refused = true;
    slot.refusal = errc::throttled;
    slot.retry_after_ms = static_cast<std::uint32_t>(quota_wait_ms_);
    replies_.open(slot);
    return true;
  }
  const auto ticket = replies_.open(slot);
  incoming_batch batch;
  batch.from = address(ticket);
  batch.log = log_id{header.topic_id};
  batch.record_count = std::max<std::uint32_t>(header.record_count, 1);
  batch.payload_bytes = header.payload_length;
  batch.payload_crc = header.payload_crc;
  batch.kind = assembler_->kind();
  if (producer_.producer != 0)
    batch.producer = {producer_.producer, producer_.epoch, header.batch_id};
  bool taken = false;
  if ((header.flags & wire::flag::compressed) != 0) {
    result<> refused;
    taken = host_.ingest_compressed(batch, assembler_->pieces(), refused);
    if (taken && !refused)
      replies_.complete(ticket, true, refused.error().code);
  } else {
    auto none = runtime::buffer_ref{};
    auto& lent = first_input_ < inputs_.size() ? inputs_[first_input_].buffer : none;
    // In kept_ a frame lies like a small torn one: in memory of the session's.
    taken = host_.ingest(batch, assembler_->pieces(), lent, assembler_->in_place() && lent,
                         assembler_->buffers());
  }
  if (!taken) {
    replies_.retract();
    host_.wants_memory(*this);
  }
  return taken;
}

// -- out -------------------------------------------------------------------------------------

void session::complete(std::uint64_t ticket, bool refused, errc refusal) {
  if (closing_)
    return;
  replies_.complete(ticket, refused, refusal);
  host_.activate(*this);
}

void session::answer(std::vector<std::byte> frame) {
  if (closing_)
    return;
  body_frame_ = std::move(frame);
  body_begun_ = false;
  complete(body_ticket_, false, errc{});
}

void session::answer(runtime::message_ref<read_reply> reply) {
  if (closing_)
    return;
  if (!reply->done) {
    refuse(reply->refusal, reply->refusal == errc::corrupt
                               ? damage_sentence(*reply)
                               : refusal_sentence(reply->refusal, reply->log.value));
    return;
  }
  body_read_ = std::move(reply);
  body_begun_ = false;
  complete(body_ticket_, false, errc{});
}

void session::refuse(errc code, std::string_view sentence) {
  const auto text = wire::error_text(code, sentence);
  std::vector<std::byte> frame(frame_header_bytes + text.size());
  wire::encode_frame(wire::control_header(wire::command::error_response), kind(), as_bytes(text),
                     frame);
  answer(std::move(frame));
}

std::byte* session::room(std::size_t bytes) {
  if (!out_) {
    out_ = host_.send_buffer();
    out_size_ = 0;
    if (!out_) {
      host_.wants_send_buffer(*this);
      return nullptr;
    }
  }
  if (out_.size() - out_size_ < bytes)
    return nullptr;
  auto* at = out_.data() + out_size_;
  out_size_ += bytes;
  return at;
}

bool session::encode_slot(const reply_slot& slot) {
  if (slot.refused) {
    const auto text = wire::error_text(
        slot.refusal, slot.retry_after_ms > 0 ? quota_sentence(slot.retry_after_ms)
                                              : refusal_sentence(slot.refusal, slot.topic));
    auto* at = room(frame_header_bytes + text.size());
    if (at == nullptr)
      return false;
    wire::encode_frame(wire::control_header(wire::command::error_response), kind(), as_bytes(text),
                       {at, frame_header_bytes + text.size()});
    return true;
  }
  auto* at = room(frame_header_bytes);
  if (at == nullptr)
    return false;
  // record 9/9: acknowledged; the buffers of the batch have returned to their pools
  wire::encode_header(slot.kind == reply_kind::ack ? wire::ack_header(slot.batch_id)
                                                   : wire::keepalive_header(),
                      kind(), at);
  return true;
}

// Fills the send buffer with what is ready. False when a body comes next.
bool session::encode_ready() {
  while (const auto* slot = replies_.front_ready()) {
    if (slot->kind == reply_kind::body)
      return false;
    if (!encode_slot(*slot))
      return true;
    host_.replied(slot->kind, slot->began_ns);
    replies_.pop();
  }
  return true;
}

void session::flush() {
  if (sending_ || closing_ || parting_ || free())
    return;
  if (sending_body_) {
    send_body();
    return;
  }
  const bool body_next = !encode_ready();
  if (out_size_ > 0) {
    sending_ = true;
    send_began_ns_ = host_.now_ns();
    handle_->send({out_.data(), out_size_});
  } else if (body_next) {
    sending_body_ = true;
    body_part_ = 0;
    send_body();
  } else {
    out_.reset();
    finish_if_done();
  }
}

void session::begin_read_body() {
  auto& reply = *body_read_;
  std::array<std::byte, wire::batches_head_bytes> head{};
  std::size_t head_bytes = 0;
  const auto put = [&](const auto& encoded) {
    std::memcpy(head.data(), encoded.data(), encoded.size());
    head_bytes = encoded.size();
  };
  std::uint64_t data_bytes = 0;
  for (const auto size : reply.sizes)
    data_bytes += size;
  auto code = wire::command::fetch_response;
  switch (reply.kind) {
  case read_kind::bytes:
  case read_kind::end_only:
    if (reply.catching_up) {
      code = wire::command::catching_up;
      put(wire::encode_catching_up(reply.end));
    } else {
      put(wire::encode(wire::fetch_head{reply.next, static_cast<std::uint32_t>(data_bytes),
                                        data_bytes > 0 ? 1U : 0U}));
    }
    break;
  case read_kind::batches:
    code = wire::command::batches_reply;
    put(wire::encode(
        wire::batches_head{reply.next, reply.start_record, reply.end, reply.batch_count}));
    break;
  case read_kind::lookup:
    code = wire::command::offset_reply;
    put(wire::encode(wire::offset_lookup_reply{reply.next, reply.start_record, reply.time_ns}));
    break;
  }
  auto header = wire::control_header(code);
  header.payload_length = static_cast<std::uint32_t>(head_bytes + data_bytes);
  auto crc = wire::checksum(kind(), byte_view{head}.first(head_bytes));
  for (std::size_t i = 0; i < reply.buffers.size(); ++i)
    crc = wire::checksum_update(
        kind(), crc, {reply.buffers[i].data() + (i == 0 ? reply_headroom : 0), reply.sizes[i]});
  header.payload_crc = crc;
  if (reply.buffers.empty()) {
    body_frame_.resize(frame_header_bytes + head_bytes);
    wire::encode_header(header, kind(), body_frame_.data());
    std::memcpy(body_frame_.data() + frame_header_bytes, head.data(), head_bytes);
    return;
  }
  // The first buffer has room in front: header, head and data leave in one send.
  const auto front = frame_header_bytes + head_bytes;
  auto* at = reply.buffers[0].data() + reply_headroom - front;
  wire::encode_header(header, kind(), at);
  std::memcpy(at + frame_header_bytes, head.data(), head_bytes);
  reply.sizes[0] += static_cast<std::uint32_t>(front);
  body_front_ = front;
}

// Sends the next part of the body. True while there is one.
bool session::send_body() {
  if (!body_begun_) {
    body_begun_ = true;
    if (body_read_)
      begin_read_body();
  }
  byte_view part;
  if (!body_frame_.empty()) {
    if (body_part_ == 0)
      part = body_frame_;
  } else if (body_read_ && body_part_ < body_read_->buffers.size()) {
    auto& reply = *body_read_;
    const auto size = reply.sizes[body_part_];
    auto* data = reply.buffers[body_part_].data();
    // The first part begins with the header, body_front_ bytes before the data.
    part = byte_view{body_part_ == 0 ? data + reply_headroom - body_front_ : data, size};
  }
  if (part.empty()) {
    body_done();
    return false;
  }
  ++body_part_;
  sending_ = true;
  send_began_ns_ = host_.now_ns();
  handle_->send(part);
  return true;
}

void session::body_done() {
  host_.replied(reply_kind::body, replies_.front_ready()->began_ns);
  replies_.pop();
  body_frame_.clear();
  if (body_frame_.capacity() > 64 * KiB)
    body_frame_ = {};
  body_read_.reset();
  sending_body_ = false;
  barrier_ = false;
  host_.activate(*this);
}

void session::sent(std::int32_t error) {
  sending_ = false;
  if (closing_)
    return;
  if (error < 0) {
    close();
    return;
  }
  if (!sending_body_)
    out_size_ = 0;
  flush();
  if (!closing_)
    host_.activate(*this);
}

// -- ends ------------------------------------------------------------------------------------

void session::finish_if_done() {
  const bool no_more_requests =
      (draining_ || peer_done_) && !held_ && first_input_ == inputs_.size();
  if (!no_more_requests || !replies_.empty() || sending_ || sending_body_)
    return;
  if (peer_done_) {
    close();
    return;
  }
  parting_ = true;
  parting_ns_ = host_.now_ns();
  handle_->end_sending();
  handle_->resume_receive(); // to throw away, until the peer has understood
}

void session::drain() {
  if (draining_)
    return;
  draining_ = true;
  if (receiving_ && handle_ != nullptr) {
    receiving_ = false;
    handle_->pause_receive();
  }
  host_.activate(*this);
}

void session::close() {
  if (closing_ || free())
    return;
  closing_ = true;
  handle_->close();
}

void session::drop_inputs() {
  inputs_.clear();
  first_input_ = 0;
}

void session::stream_closed() {
  drop_inputs();
  assembler_.reset();
  out_.reset();
  body_frame_ = {};
  body_read_.reset();
  handle_ = nullptr;
  ++generation_; // answers still under way are for nobody
  host_.ended(*this);
}

bool session::sweep(std::uint64_t now_ns, std::uint64_t idle_limit_ns, scarcity wanted) {
  if (closing_ || free())
    return false;
  if (parting_) {
    if (now_ns - parting_ns_ > farewell_ns)
      close();
    return false;
  }
  const bool reads = sending_body_ && body_read_ && !body_read_->buffers.empty();
  const bool stuck_out =
      sending_ &&
      now_ns - send_began_ns_ > (wanted.replies && reads ? contended_reader_ns : stalled_peer_ns);
  const auto patience =
      wanted.assembly && assembler_->holds_buffers() ? contended_peer_ns : stalled_peer_ns;
  const bool stuck_in = assembler_->torn() && receiving_ && first_input_ == inputs_.size() &&
                        now_ns - last_receive_ns_ > patience;
  const bool idle = idle_limit_ns > 0 && replies_.empty() && !sending_ &&
                    now_ns - last_receive_ns_ > idle_limit_ns;
  if (!stuck_out && !stuck_in && !idle)
    return false;
  close();
  return true;
}

} // namespace lance::actors
