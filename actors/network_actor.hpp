// Accepts connections and carries their sessions: bytes in, frames to ingestion and requests to
// poller and metadata, replies out. One per network lane; sessions, listener and buffers are its
// own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <caf/actor.hpp>

#include "actors/access_book.hpp"
#include "actors/event_limit.hpp"
#include "actors/gate.hpp"
#include "actors/messages.hpp"
#include "actors/quota_book.hpp"
#include "actors/secure_stream.hpp"
#include "actors/session.hpp"
#include "actors/tls_source.hpp"
#include "runtime/lane.hpp"
#include "runtime/metrics.hpp"

namespace lance::actors {

struct network_options {
  std::uint16_t number = 0;             ///< of this actor; in reply addresses
  int listener = -1;                    ///< a listening socket, the actor's from now on
  std::uint32_t max_connections = 1024; ///< of this actor; beyond it a connection is closed at once
  std::uint32_t max_frame_bytes = 16 * MiB;
  std::uint64_t idle_timeout_ns = 0; ///< 0: none
  bool tcp_nodelay = true;
  const tls_source* tls = nullptr;       ///< null: connections are not encrypted
  const access_source* access = nullptr; ///< null: nobody is asked who it is
  quota_book* quotas = nullptr;          ///< null: nobody is limited; outlives the actor
};

/// Memory of one network actor; made before the actor system and destroyed after it.
struct network_memory {
  explicit network_memory(std::uint32_t connections) : read_messages(connections) {}
  std::unique_ptr<runtime::buffer_pool> assembly; ///< torn frames
  std::unique_ptr<runtime::buffer_pool> send;     ///< replies on their way out
  std::unique_ptr<runtime::buffer_pool> plain;    ///< what was decrypted; with TLS only
  std::unique_ptr<runtime::buffer_pool> cipher;   ///< what was encrypted; with TLS only
  runtime::message_pool<frames> frames_messages{messages_in_flight};
  runtime::message_pool<read_request> read_messages; ///< a connection reads one thing at a time
  std::atomic<std::uint64_t> plain_bytes{0}; ///< decompressed payloads that wait for ingestion

  /// `plain_buffers`: as many as the lane receives into; 0 without TLS.
  static result<std::unique_ptr<network_memory>> make(std::uint32_t assembly_buffers,
                                                      std::uint32_t connections,
                                                      std::uint32_t plain_buffers, int numa_node);
};

class network_actor final : public runtime::resident_actor<>,
                            private session_host,
                            private secure_host,
                            private runtime::acceptor,
                            private runtime::lane_timer {
 public:
  network_actor(caf::actor_config& config, const network_options& options, network_memory& memory,
                runtime::metric_set& metrics);
  ~network_actor() override;

  caf::behavior make_behavior() override;
  void on_exit() override;
  bool poll() override;
  [[nodiscard]] bool ready() const override;
  const char* name() const override { return "network"; }

 private:
  // -- session_host
  bool ingest(const incoming_batch& batch, std::span<const byte_view> pieces,
              runtime::buffer_ref& input, bool in_place,
              std::vector<runtime::buffer_ref>& gathered) override;
  bool ingest_compressed(const incoming_batch& batch, std::span<const byte_view> pieces,
                         result<>& refused) override;
  std::optional<errc> judge_ingest(session& from, std::uint32_t topic) override;
  std::uint64_t quota_wait(session& from, const wire::frame_header& header,
                           std::span<const byte_view> pieces) override;
  bool hold_for_quota(session& which, std::uint64_t wait_ns) override;
  bool request(session& from, const wire::frame_header& header,
               std::span<const byte_view> pieces) override;
  runtime::buffer_ref send_buffer() override { return memory_.send->take(); }
  void activate(session& which) override;
  void wants_send_buffer(session& which) override;
  void wants_memory(session& which) override;
  void wants_assembly(session& which) override;
  void replied(reply_kind kind, std::uint64_t began_ns) override;
  void protocol_fault(session& which, wire::verdict why) override;
  void strange_frame(wire::frame_kind kind) override;
  void ended(session& which) override;
  [[nodiscard]] std::uint64_t now_ns() const override { return now_ns_; }

  // -- secure_host
  runtime::buffer_ref plain_buffer() override { return memory_.plain->take(); }
  runtime::buffer_ref cipher_buffer() override { return memory_.cipher->take(); }
  void wants(secure_stream& which) override;
  void again(secure_stream& which) override;
  void secured(secure_stream& which, std::uint64_t ns) override;
  void insecure(secure_stream& which, runtime::tls_fault why) override;

  // -- runtime::acceptor, runtime::lane_timer
  void accepted(std::int32_t socket_or_error) override;
  void accept_stopped() override;
  void expired(std::uint64_t now_ns) override;

  bool read_for(session& from, wire::command code, byte_view payload);
  void register_producer(session& from, byte_view payload);
  void to_metadata(session& from, wire::command code, byte_view payload);
  frames* frames_for(std::size_t shard, std::size_t pieces);
  void send_frames(std::size_t shard);
  void take(const outcomes& settled);
  void take(control_reply& reply);
  void take(runtime::message_ref<read_reply> reply);
  void add(frames& to, const incoming_batch& batch, byte_view piece);
  [[nodiscard]] std::size_t shard_of(log_id log) const noexcept {
    return log.value % routes_.ingestion.size();
  }
  session* find(const reply_address& to) noexcept;
  void begin_drain();
  void say_drained();
  void listen();
  void authenticate(session& from, byte_view token);
  [[nodiscard]] bool admit(session& from, wire::command code, byte_view payload);
  void identify(secure_stream& by);
  void note_refusal(session& from, std::string_view command, std::string_view topic, verdict why);
  [[nodiscard]] const access_book& book();
  void forget_who_counts_no_more();
  [[nodiscard]] std::uint32_t payload_limit_of(const session& which);
  [[nodiscard]] const std::string& quota_name(session& of);
  bool count_connection(session& of);
  void uncount_connection(session& of);
  void release_held(std::uint64_t now_ns);
  bool resume_secure(bool fed);
  [[nodiscard]] bool begin(session& fresh, int socket);
  static void feed(void* self);

  /// Brings those round who wait for quota.
  struct quota_timer final : runtime::lane_timer {
    explicit quota_timer(network_actor& of) : owner(of) {}
    void expired(std::uint64_t now_ns) override { owner.release_held(now_ns); }
    network_actor& owner;
  };

  const network_options options_;
  network_memory& memory_;
  runtime::metric_set& metrics_;
  network_routes routes_;
  std::uint64_t now_ns_ = 0;
  assembly_budget budget_;
  std::vector<runtime::message_ref<frames>> filling_; // by shard
  std::vector<std::unique_ptr<session>> sessions_;
  std::vector<std::unique_ptr<secure_stream>> secure_; // by session; with TLS only
  std::shared_ptr<const access_book> book_;
  topic_names names_;
  quota_timer quota_timer_{*this};
  std::vector<session*> over_quota_; // wait until their time
  event_limit quota_lines_;
  std::uint64_t audit_second_ = 0; // refusals are told up to a number in each second
  unsigned audit_count_ = 0;
  std::vector<secure_stream*> resuming_;
  std::vector<secure_stream*> resumed_; // memory for the turn
  std::vector<secure_stream*> thirsty_; // wait for a buffer
  std::vector<std::uint32_t> free_;
  std::vector<session*> active_;
  std::vector<session*> working_;
  std::vector<session*> hungry_;  // wait for buffers or messages
  std::vector<std::byte> joined_; // a compressed frame in one piece
  std::uint32_t assembly_waiters_ = 0;
  std::uint64_t replies_wanted_until_ns_ = 0; // readers wait for reply buffers
  std::uint32_t budget_seen_ = 0;             // the least that was left when a session went hungry
  std::uint64_t plain_seen_ = 0;              // the most decompressed bytes that waited then
  std::atomic<bool> fed_{false};              // a dry pool got something back
  std::uint32_t connections_ = 0;
  bool draining_ = false;
  caf::actor draining_for_;
  bool listening_ = false;
};

} // namespace lance::actors
