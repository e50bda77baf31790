// One client connection: its bytes in, its requests in order, its replies in order. The network
// actor carries it; what may be read, what waits and what leaves next is decided here.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "actors/caller.hpp"
#include "actors/frame_assembler.hpp"
#include "actors/messages.hpp"
#include "actors/reply_queue.hpp"
#include "actors/secure_stream.hpp"
#include "runtime/reactor.hpp"

namespace lance::actors {

/// What the network actor does for its sessions. Its thread.
class session_host {
 public:
  /// Queues an ingest frame for its shard. False: no message is to be had now, come again.
  virtual bool ingest(const incoming_batch& batch, std::span<const byte_view> pieces,
                      runtime::buffer_ref& input, bool in_place,
                      std::vector<runtime::buffer_ref>& gathered) = 0;
  /// The same for a compressed frame; `refused` says why it was not taken.
  virtual bool ingest_compressed(const incoming_batch& batch, std::span<const byte_view> pieces,
                                 result<>& refused) = 0;
  /// Why a batch for this topic is not taken from this caller; nothing: it may come in.
  virtual std::optional<errc> judge_ingest(class session& from, std::uint32_t topic) = 0;
  /// How long a frame has to wait until the caller is within its quota, and whether it was taken
  /// into account: it is when it need not wait.
  virtual std::uint64_t quota_wait(class session& from, const wire::frame_header& header,
                                   std::span<const byte_view> pieces) = 0;
  /// True: the frame is kept, and activate() follows after that time. False: it is to be refused.
  virtual bool hold_for_quota(class session& which, std::uint64_t wait_ns) = 0;
  /// Starts a request that is answered by a body. False: no message is to be had now, come again.
  virtual bool request(class session& from, const wire::frame_header& header,
                       std::span<const byte_view> pieces) = 0;
  /// A buffer to gather replies in; empty when the pool is dry: wants_send_buffer() follows.
  virtual runtime::buffer_ref send_buffer() = 0;
  /// The session has something to do as soon as the lane comes round.
  virtual void activate(session& which) = 0;
  virtual void wants_send_buffer(session& which) = 0;
  virtual void wants_memory(session& which) = 0;
  /// A torn frame needs more pooled buffers than are free. The host may close the session.
  virtual void wants_assembly(session& which) = 0;
  /// A reply has been handed to the socket: `began_ns` is when its request was whole.
  virtual void replied(reply_kind kind, std::uint64_t began_ns) = 0;
  virtual void protocol_fault(session& which, wire::verdict why) = 0;
  virtual void strange_frame(wire::frame_kind kind) = 0;
  /// Nothing of the session is left in the kernel: it may be used for another connection.
  virtual void ended(session& which) = 0;
  [[nodiscard]] virtual std::uint64_t now_ns() const = 0;

 protected:
  ~session_host() = default;
};

class session final : public runtime::stream {
 public:
  session(session_host& host, std::uint16_t network, std::uint32_t number,
          std::uint32_t payload_limit, assembly_budget& budget);

  /// Takes over a connected socket. The session must be free.
  void begin(runtime::reactor& io, int socket);
  /// The same for an encrypted connection, through a stream that nobody else uses meanwhile.
  /// Errors: internal; the socket is the caller's then.
  [[nodiscard]] result<> begin(runtime::reactor& io, int socket, secure_stream& through,
                               std::shared_ptr<const runtime::tls_context> context);

  // -- from the network actor --------------------------------------------------------------------
  /// Cuts and hands on what has been received, as far as credit and memory allow.
  void work();
  /// Encodes and sends replies that are ready.
  void flush();
  void complete(std::uint64_t ticket, bool refused, errc refusal);
  /// The answer of the one request with a body: a whole frame, or bytes read from a log.
  void answer(std::vector<std::byte> frame);
  void answer(runtime::message_ref<read_reply> reply);
  /// Answers the current request with `CODE: sentence`.
  void refuse(errc code, std::string_view sentence);
  void close();
  /// Takes no further requests; closes once every reply has left.
  void drain();
  /// What others wait for at this moment.
  struct scarcity {
    bool assembly = false; ///< the buffers that a torn frame holds
    bool replies = false;  ///< the buffers that a reply lies in
  };
  /// Ends a session that holds the server up. True if it did.
  bool sweep(std::uint64_t now_ns, std::uint64_t idle_limit_ns, scarcity wanted);

  [[nodiscard]] reply_address address(std::uint64_t ticket) const noexcept {
    return {network_, number_, generation_, ticket};
  }
  [[nodiscard]] bool open() const noexcept { return handle_ != nullptr && !closing_; }
  [[nodiscard]] bool free() const noexcept { return handle_ == nullptr; }
  [[nodiscard]] std::uint32_t number() const noexcept { return number_; }
  [[nodiscard]] std::uint32_t generation() const noexcept { return generation_; }
  [[nodiscard]] wire::checksum_kind kind() const noexcept { return assembler_->kind(); }
  [[nodiscard]] std::uint64_t body_ticket() const noexcept { return body_ticket_; }
  [[nodiscard]] std::uint64_t request_ns() const noexcept { return request_ns_; }
  /// The host's: who is there, and what it was last told about it.
  [[nodiscard]] const std::shared_ptr<const caller>& who() const noexcept { return who_; }
  /// The batches from here on are this producer's, numbered by their ids.
  void register_producer(const wire::producer_identity& who) { producer_ = who; }
  void known_as(std::shared_ptr<const caller> who) { who_ = std::move(who); }
  /// Strangers send no long frames.
  void set_payload_limit(std::uint32_t bytes) { assembler_->set_payload_limit(bytes); }
  struct access {
    std::uint64_t edition = ~std::uint64_t{0}; ///< of the book that was asked
    std::uint32_t topic = 0;
    std::optional<errc> refusal = {};
  };
  access last_access;
  std::string quota_name;          ///< the host's: under which its bytes are counted
  std::string counted_as;          ///< the host's: the identity of which it is one connection
  std::uint64_t held_until_ns = 0; ///< the host's: over quota; 0: it is not
  bool over_quota_noted = false;   ///< the host's, for the frame in hand
  std::uint64_t begun_ns = 0;
  unsigned failed_logins = 0;
  bool listed = false;           ///< the host's: waits in its list of active sessions
  bool waits_for_send = false;   ///< the host's
  bool waits_for_memory = false; ///< the host's

  // -- runtime::stream
  // -----------------------------------------------------------------------------
  void received(runtime::buffer_ref buffer, std::uint32_t size) override;
  void receive_ended(std::int32_t error) override;
  void sent(std::int32_t error) override;
  void stream_closed() override;

 private:
  struct input {
    runtime::buffer_ref buffer; ///< empty: the bytes lie in kept_
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
  };

  bool dispatch();
  bool dispatch_ingest();
  enum class quota : std::uint8_t { within, held, refused };
  [[nodiscard]] quota ask_quota();
  [[nodiscard]] std::byte* bytes_of(const input& in) noexcept {
    return (in.buffer ? in.buffer.data() : kept_.data()) + in.begin;
  }
  void keep_apart();
  void reset();
  void open_with(runtime::socket_handle& handle);
  bool encode_ready();
  bool encode_slot(const reply_slot& slot);
  bool send_body();
  void begin_read_body();
  void body_done();
  void finish_if_done();
  std::byte* room(std::size_t bytes);
  void drop_inputs();

  session_host& host_;
  std::shared_ptr<const caller> who_;
  wire::producer_identity producer_;
  const std::uint16_t network_;
  const std::uint32_t number_;
  const std::uint32_t payload_limit_;
  assembly_budget& budget_;
  std::uint32_t generation_ = 0;
  runtime::socket_handle* handle_ = nullptr;
  bool closing_ = false;
  bool draining_ = false;
  bool parting_ = false;   // all is said; the peer may read it in peace
  bool peer_done_ = false; // the peer sends no more; what it sent is answered

  // in
  std::optional<frame_assembler> assembler_;
  std::vector<input> inputs_;
  std::size_t first_input_ = 0;
  std::vector<std::byte> kept_; // what waits behind a request that takes its time
  bool receiving_ = false;
  bool held_ = false; // the assembler's current frame could not be handed on yet
  bool paid_ = false; // and its quota has been taken
  std::uint64_t quota_wait_ms_ = 0;
  std::uint64_t last_receive_ns_ = 0;
  std::uint64_t request_ns_ = 0;

  // out
  reply_queue replies_;
  bool barrier_ = false; // a request with a body is under way: nothing further is read
  std::uint64_t body_ticket_ = 0;
  std::vector<std::byte> body_frame_;
  runtime::message_ref<read_reply> body_read_;
  std::size_t body_part_ = 0;
  std::size_t body_front_ = 0;
  bool body_begun_ = false;
  runtime::buffer_ref out_;
  std::size_t out_size_ = 0;
  bool sending_ = false;
  bool sending_body_ = false;
  std::uint64_t send_began_ns_ = 0;
  std::uint64_t parting_ns_ = 0;
};

/// What a refusal says after its code.
[[nodiscard]] std::string refusal_sentence(errc code, std::uint32_t topic);
/// The same for who is over quota; our client waits so long (wire::retry_after_ms).
[[nodiscard]] std::string quota_sentence(std::uint64_t wait_ms);

} // namespace lance::actors
