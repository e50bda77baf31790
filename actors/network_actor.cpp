#include "actors/network_actor.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/check.hpp"
#include "runtime/log.hpp"
#include "wire/compress.hpp"
#include "wire/error_reply.hpp"

namespace lance::actors {

using runtime::counter;
using runtime::gauge;
using runtime::histogram;

namespace {

constexpr std::uint64_t sweep_every_ns = 1 * s_in_ns;
constexpr std::uint64_t accept_again_ns = 100 * ms_in_ns;
/// Lines of refused requests in one second; a stranger must not fill the log.
constexpr unsigned audit_lines_max = 20;

// The counters of faults stand in the order of the faults; `none` has none.
counter counter_of(runtime::tls_fault why) noexcept {
  return static_cast<counter>(static_cast<std::size_t>(counter::tls_failures_plaintext) +
                              static_cast<std::size_t>(why) - 1);
}
static_assert(static_cast<std::size_t>(counter::tls_failures_internal) -
                  static_cast<std::size_t>(counter::tls_failures_plaintext) + 2 ==
              runtime::tls_faults);

std::vector<std::byte> in_one_piece(std::span<const byte_view> pieces) {
  std::vector<std::byte> whole;
  for (const auto piece : pieces)
    whole.insert(whole.end(), piece.begin(), piece.end());
  return whole;
}

} // namespace

result<std::unique_ptr<network_memory>> network_memory::make(std::uint32_t assembly_buffers,
                                                             std::uint32_t connections,
                                                             std::uint32_t plain_buffers,
                                                             int numa_node) {
  auto made = std::make_unique<network_memory>(connections);
  auto assembly = runtime::buffer_pool::make(
      {.count = assembly_buffers, .buffer_bytes = 64 * KiB, .numa_node = numa_node});
  if (!assembly)
    return tl::unexpected{assembly.error()};
  made->assembly = std::move(*assembly);
  auto send = runtime::buffer_pool::make(
      {.count = send_buffers, .buffer_bytes = send_buffer_bytes, .numa_node = numa_node});
  if (!send)
    return tl::unexpected{send.error()};
  made->send = std::move(*send);
  if (plain_buffers == 0)
    return made;
  auto plain = runtime::buffer_pool::make(
      {.count = plain_buffers, .buffer_bytes = secure_buffer_bytes, .numa_node = numa_node});
  if (!plain)
    return tl::unexpected{plain.error()};
  made->plain = std::move(*plain);
  auto cipher = runtime::buffer_pool::make(
      {.count = cipher_buffers, .buffer_bytes = secure_buffer_bytes, .numa_node = numa_node});
  if (!cipher)
    return tl::unexpected{cipher.error()};
  made->cipher = std::move(*cipher);
  return made;
}

network_actor::network_actor(caf::actor_config& config, const network_options& options,
                             network_memory& memory, runtime::metric_set& metrics)
    : resident_actor<>(config), options_(options), memory_(memory), metrics_(metrics),
      budget_(*memory.assembly, memory.assembly->count()) {}

// Buffers and messages may come back after their user has gone.
network_actor::~network_actor() {
  memory_.assembly->on_return(nullptr, nullptr);
  memory_.send->on_return(nullptr, nullptr);
  memory_.frames_messages.on_return(nullptr, nullptr);
  memory_.read_messages.on_return(nullptr, nullptr);
  for (auto* pool : {memory_.plain.get(), memory_.cipher.get()})
    if (pool != nullptr)
      pool->on_return(nullptr, nullptr);
}

caf::behavior network_actor::make_behavior() {
  memory_.assembly->on_return(&network_actor::feed, this);
  memory_.send->on_return(&network_actor::feed, this);
  memory_.frames_messages.on_return(&network_actor::feed, this);
  memory_.read_messages.on_return(&network_actor::feed, this);
  for (auto* pool : {memory_.plain.get(), memory_.cipher.get()})
    if (pool != nullptr)
      pool->on_return(&network_actor::feed, this);
  now_ns_ = home_lane().time().steady_ns();
  set_default_handler(caf::drop);
  return {
      [this](network_routes& routes) {
        routes_ = std::move(routes);
        filling_.resize(routes_.ingestion.size());
        listen();
        home_lane().arm(*this, now_ns_ + sweep_every_ns);
      },
      [this](runtime::message_ref<outcomes>& settled) { take(*settled); },
      [this](runtime::message_ref<read_reply>& reply) { take(std::move(reply)); },
      [this](control_reply& reply) { take(reply); },
      [this](topic_named& what) {
        if (what.name.empty())
          names_.remove(what.id);
        else
          names_.add(what.id, std::move(what.name));
      },
      [this](const readers_wait&) { replies_wanted_until_ns_ = now_ns_ + readers_wait_ns; },
      [this](const stop_serving& wanted) {
        draining_for_ = wanted.requester;
        begin_drain();
      },
  };
}

void network_actor::on_exit() {
  routes_ = {};
  draining_for_ = nullptr;
  home_lane().forget(*this);
  home_lane().forget(quota_timer_);
}

void network_actor::feed(void* self) {
  auto* actor = static_cast<network_actor*>(self);
  actor->fed_.store(true, std::memory_order_release);
  actor->home_lane().notify();
}

bool network_actor::ready() const {
  return resident_actor<>::ready() || !active_.empty() || !resuming_.empty() ||
         ((!hungry_.empty() || !thirsty_.empty()) && fed_.load(std::memory_order_acquire));
}

bool network_actor::poll() {
  now_ns_ = home_lane().time().steady_ns();
  const auto got = take_messages();
  if (got == mail::ended)
    return true;
  const bool waiting = !hungry_.empty() || !thirsty_.empty();
  const bool fed = waiting && fed_.exchange(false);
  if (!hungry_.empty() && (fed || budget_.left() > budget_seen_ ||
                           memory_.plain_bytes.load(std::memory_order_relaxed) < plain_seen_)) {
    budget_seen_ = budget_.left();
    plain_seen_ = 0;
    const auto hungry = std::move(hungry_);
    hungry_.clear();
    assembly_waiters_ = 0;
    for (auto* each : hungry) {
      each->waits_for_memory = each->waits_for_send = false;
      activate(*each);
    }
  }
  bool worked = resume_secure(fed);
  working_.swap(active_);
  worked = worked || !working_.empty();
  for (auto* each : working_) {
    each->listed = false;
    each->work();
  }
  working_.clear();
  for (std::size_t shard = 0; shard < filling_.size(); ++shard)
    send_frames(shard);
  resume_secure(false); // what the sessions had to say leaves in this turn
  return worked || got == mail::some;
}

// -- connections -----------------------------------------------------------------------------

void network_actor::listen() {
  if (draining_)
    return;
  listening_ = true;
  home_lane().io().listen(options_.listener, *this);
}

void network_actor::accepted(std::int32_t socket_or_error) {
  now_ns_ = home_lane().time().steady_ns();
  if (socket_or_error < 0) {
    listening_ = false; // tried again by the next sweep, when descriptors may be free
    metrics_.add(counter::errors_io);
    runtime::log(runtime::log_level::error, "accept_failed",
                 {{"error", std::strerror(-socket_or_error)},
                  {"remedy", "raise the limit of open files or lower network.max_connections"}});
    home_lane().arm(*this, now_ns_ + accept_again_ns);
    return;
  }
  if (draining_ || connections_ >= options_.max_connections) {
    ::close(socket_or_error);
    metrics_.add(counter::errors_backpressure);
    return;
  }
  if (options_.tcp_nodelay) {
    const int on = 1;
    ::setsockopt(socket_or_error, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(sessions_.size()));
    sessions_.emplace_back(
        new session(*this, options_.number, free_.back(), options_.max_frame_bytes, budget_));
    if (options_.tls != nullptr)
      secure_.emplace_back(new secure_stream(*this));
  }
  auto& fresh = *sessions_[free_.back()];
  if (!begin(fresh, socket_or_error))
    return;
  free_.pop_back();
  ++connections_;
  metrics_.add(counter::connections);
  metrics_.set(gauge::connections_active, connections_);
}

bool network_actor::begin(session& fresh, int socket) {
  bool begun = true;
  if (options_.tls == nullptr)
    fresh.begin(home_lane().io(), socket);
  else
    begun = fresh.begin(home_lane().io(), socket, *secure_[fresh.number()], options_.tls->current())
                .has_value();
  if (begun) {
    fresh.set_payload_limit(payload_limit_of(fresh));
    return true;
  }
  ::close(socket);
  metrics_.add(counter::tls_failures_internal);
  metrics_.add(counter::errors_internal);
  return false;
}

void network_actor::ended(session& which) {
  std::erase(active_, &which);
  std::erase(hungry_, &which);
  std::erase(over_quota_, &which);
  uncount_connection(which);
  if (options_.tls != nullptr) {
    auto& secure = *secure_[which.number()];
    std::erase(resuming_, &secure);
    std::erase(thirsty_, &secure);
    secure.listed = secure.waits = false;
  }
  which.listed = which.waits_for_memory = which.waits_for_send = false;
  free_.push_back(which.number());
  --connections_;
  metrics_.set(gauge::connections_active, connections_);
  if (draining_ && connections_ == 0 && !listening_)
    say_drained();
}

void network_actor::expired(std::uint64_t now_ns) {
  now_ns_ = now_ns;
  if (!listening_)
    listen();
  const session::scarcity wanted{.assembly = assembly_waiters_ > 0,
                                 .replies = now_ns < replies_wanted_until_ns_};
  for (auto& each : secure_)
    if ((each->shaking_hands() && now_ns - each->began_ns() > handshake_limit_ns) ||
        (each->parting() && now_ns - each->began_ns() > farewell_ns))
      each->time_out();
  if (options_.access != nullptr && book().enabled)
    forget_who_counts_no_more();
  if (options_.access != nullptr && book().enabled && !book().write_only)
    for (auto& each : sessions_)
      if (each->open() && each->who() == nullptr && now_ns - each->begun_ns > stranger_limit_ns) {
        each->close();
        metrics_.add(counter::errors_auth);
        metrics_.add(counter::auth_too_late);
      }
  for (auto& each : sessions_)
    if (each->sweep(now_ns, options_.idle_timeout_ns, wanted))
      metrics_.add(counter::errors_timeout);
  metrics_.set(gauge::connection_saturation,
               static_cast<double>(connections_) / options_.max_connections);
  metrics_.set(gauge::queue_saturation, memory_.frames_messages.under_way());
  home_lane().arm(*this, now_ns + sweep_every_ns);
}

void network_actor::begin_drain() {
  if (draining_)
    return;
  draining_ = true;
  if (listening_)
    home_lane().io().stop_listening(options_.listener);
  else if (connections_ == 0)
    say_drained();
  for (auto& each : sessions_)
    if (each->open())
      each->drain();
}

void network_actor::accept_stopped() {
  listening_ = false;
  ::close(options_.listener);
  if (connections_ == 0)
    say_drained();
}

void network_actor::say_drained() {
  send(draining_for_, drained{options_.number});
}

// -- quotas ----------------------------------------------------------------------------------

// A stranger's connection stands for itself.
const std::string& network_actor::quota_name(session& of) {
  if (of.who() != nullptr)
    of.quota_name = of.who()->name();
  else if (!of.quota_name.starts_with('#'))
    of.quota_name = "#" + std::to_string(options_.number) + "/" + std::to_string(of.number()) +
                    "/" + std::to_string(of.generation());
  return of.quota_name;
}

std::uint64_t network_actor::quota_wait(session& from, const wire::frame_header& header,
                                        std::span<const byte_view> pieces) {
  if (options_.quotas == nullptr)
    return 0;
  auto& quotas = *options_.quotas;
  const bool batch = wire::classify(header) == wire::frame_kind::ingest;
  const auto way = batch ? quota_book::way::ingest : quota_book::way::fetch;
  if (!quotas.limits(way))
    return 0;
  const auto code = wire::command_of(header);
  if (!batch && code != wire::command::fetch && code != wire::command::fetch_batches)
    return 0;
  auto topic = header.topic_id;
  if (!batch) { // both requests begin with the log
    if (pieces.empty() || pieces.front().size() < sizeof topic)
      return 0; // refused by whoever reads it
    topic = load_le<std::uint32_t>(pieces.front().data());
  }
  const auto& name = quota_name(from);
  const auto wait = quotas.wait_ns(way, name, topic, now_ns_);
  if (wait == 0 && batch)
    quotas.take(way, name, topic, header.payload_length, now_ns_);
  return wait;
}

// Who waits keeps receive buffers, of which there are fewer than connections: only some may.
bool network_actor::hold_for_quota(session& which, std::uint64_t wait_ns) {
  const bool waits = which.held_until_ns != 0;
  const bool noted = std::exchange(which.over_quota_noted, true);
  const auto waited_ns = now_ns_ - std::min(which.request_ns(), now_ns_);
  const bool room = waits || over_quota_.size() < std::max(1U, home_lane().receive_pool().count() /
                                                                   quota_waiters_share);
  const bool held = room && waited_ns + wait_ns <= quota_hold_ns;
  if (held) {
    const auto until = now_ns_ + std::clamp(wait_ns, quota_step_ns, quota_look_ns);
    if (!waits)
      over_quota_.push_back(&which);
    if (!noted)
      metrics_.add(counter::quota_held);
    which.held_until_ns = until;
    if (quota_timer_.deadline_ns == 0 || until < quota_timer_.deadline_ns)
      home_lane().arm(quota_timer_, until);
  } else {
    metrics_.add(counter::quota_refused);
  }
  if (!noted || !held)
    if (const auto told = quota_lines_.take(now_ns_))
      runtime::log(runtime::log_level::info, "over_quota",
                   {{"identity", quota_name(which)},
                    {"wait_ms", wait_ns / ms_in_ns},
                    {"outcome", held ? "held" : "refused"},
                    {"not_told", told->held_back}});
  return held;
}

void network_actor::release_held(std::uint64_t now_ns) {
  now_ns_ = now_ns;
  std::uint64_t next = 0;
  std::erase_if(over_quota_, [&](session* each) {
    if (each->held_until_ns > now_ns) {
      next = next == 0 ? each->held_until_ns : std::min(next, each->held_until_ns);
      return false;
    }
    each->held_until_ns = 0;
    activate(*each);
    return true;
  });
  if (next != 0)
    home_lane().arm(quota_timer_, next);
}

// False: its identity has as many connections as it may.
bool network_actor::count_connection(session& of) {
  uncount_connection(of);
  if (options_.quotas == nullptr || of.who() == nullptr)
    return true;
  auto name = of.who()->name();
  if (!options_.quotas->join(name)) {
    metrics_.add(counter::quota_connections);
    if (const auto told = quota_lines_.take(now_ns_))
      runtime::log(runtime::log_level::warning, "too_many_connections",
                   {{"identity", name}, {"not_told", told->held_back}});
    return false;
  }
  of.counted_as = std::move(name);
  return true;
}

void network_actor::uncount_connection(session& of) {
  if (!of.counted_as.empty())
    options_.quotas->leave(of.counted_as);
  of.counted_as.clear();
}

// -- who is there ----------------------------------------------------------------------------

const access_book& network_actor::book() {
  if (book_ == nullptr || book_->edition != options_.access->edition()) {
    book_ = options_.access->current();
    forget_who_counts_no_more();
  }
  return *book_;
}

// Tokens that were revoked or have expired meanwhile: their connections are strangers' again.
void network_actor::forget_who_counts_no_more() {
  const auto now_s = home_lane().time().wall_ns() / s_in_ns;
  for (auto& each : sessions_) {
    if (!each->open() || each->who() == nullptr)
      continue;
    const auto gone = [&](const auto& identity) { return !book_->counts(identity, now_s); };
    const auto& identities = each->who()->identities;
    if (std::none_of(identities.begin(), identities.end(), gone))
      continue;
    auto left = *each->who();
    std::erase_if(left.identities, gone);
    each->known_as(left.known() ? std::make_shared<const caller>(std::move(left)) : nullptr);
    if (each->who() == nullptr)
      uncount_connection(*each);
    each->last_access = {};
    each->begun_ns = now_ns_; // as much time as anybody to show another one
  }
}

std::uint32_t network_actor::payload_limit_of(const session& which) {
  const bool stranger = options_.access != nullptr && book().enabled && which.who() == nullptr;
  return stranger ? std::min(stranger_frame_bytes, options_.max_frame_bytes)
                  : options_.max_frame_bytes;
}

std::optional<errc> network_actor::judge_ingest(session& from, std::uint32_t topic) {
  if (options_.access == nullptr)
    return std::nullopt;
  const auto& now = book();
  auto& last = from.last_access;
  if (last.edition == now.edition && last.topic == topic)
    return last.refusal;
  static const caller stranger;
  const auto& who = from.who() != nullptr ? *from.who() : stranger;
  const auto judged = actors::judge_ingest(now, who, topic, names_);
  if (judged == verdict::allowed) {
    last = {now.edition, topic, {}};
    return std::nullopt;
  }
  last.edition = ~std::uint64_t{0}; // a topic may be made meanwhile: asked again, and told again
  note_refusal(from, "ingest", names_.find(topic), judged);
  return judged == verdict::not_authenticated ? errc::not_authenticated : errc::not_authorized;
}

bool network_actor::admit(session& from, wire::command code, byte_view payload) {
  static const caller stranger;
  const auto& who = from.who() != nullptr ? *from.who() : stranger;
  std::string topic;
  const auto judged = judge_request(book(), who, code, payload, names_, topic);
  if (judged == verdict::allowed) {
    if (book().enabled && demand_of(code).changes)
      runtime::log(runtime::log_level::info, "audit",
                   {{"identity", who.name()},
                    {"command", wire::name_of(code)},
                    {"topic", topic},
                    {"outcome", "allowed"}});
    return true;
  }
  note_refusal(from, wire::name_of(code), topic, judged);
  if (judged == verdict::not_authenticated)
    from.refuse(errc::not_authenticated, "Authentication required");
  else
    from.refuse(errc::not_authorized, "no rule lets this identity do this here");
  return false;
}

void network_actor::note_refusal(session& from, std::string_view command, std::string_view topic,
                                 verdict why) {
  metrics_.add(counter::errors_auth);
  metrics_.add(why == verdict::not_authenticated ? counter::auth_not_authenticated
                                                 : counter::auth_not_authorized);
  const auto second = now_ns_ / s_in_ns;
  if (second != audit_second_) {
    audit_second_ = second;
    audit_count_ = 0;
  }
  if (++audit_count_ > audit_lines_max)
    return;
  runtime::log(
      runtime::log_level::warning, "audit",
      {{"identity", from.who() != nullptr ? from.who()->name() : caller{}.name()},
       {"command", command},
       {"topic", topic},
       {"outcome", why == verdict::not_authenticated ? "not authenticated" : "not authorized"}});
}

void network_actor::authenticate(session& from, byte_view token) {
  namespace texts = wire::authenticate_text;
  std::string_view told = texts::accepted;
  bool good = false;
  const auto decoded = wire::decode_authenticate(token);
  if (!decoded) {
    told = token.empty()                           ? texts::no_token
           : token.size() <= wire::token_bytes_max ? texts::not_utf8
                                                   : texts::unknown_token;
  } else if (options_.access == nullptr || !book().enabled) {
    // Whoever shows a token believes that tokens count here.
    told = "Authentication is switched off on this server";
  } else {
    std::string name;
    const auto now_s = home_lane().time().wall_ns() / s_in_ns;
    const auto judged = book().tokens.judge(token, now_s, name);
    good = judged == cluster::token_verdict::known;
    told = good                                        ? texts::accepted
           : judged == cluster::token_verdict::expired ? "Token expired"
                                                       : texts::unknown_token;
    if (good) {
      auto who = from.who() != nullptr ? *from.who() : caller{};
      std::erase_if(who.identities, [](const auto& each) { return each.starts_with("token:"); });
      who.identities.push_back("token:" + name);
      from.known_as(std::make_shared<const caller>(std::move(who)));
      from.last_access = {};
      from.set_payload_limit(payload_limit_of(from));
      if (!count_connection(from)) {
        good = false;
        told = "THROTTLED: this identity has as many connections as it may";
        from.known_as(nullptr);
        from.set_payload_limit(payload_limit_of(from));
      }
    } else {
      metrics_.add(judged == cluster::token_verdict::expired ? counter::auth_expired_token
                                                             : counter::auth_unknown_token);
    }
  }
  if (!good) {
    metrics_.add(counter::errors_auth);
    ++from.failed_logins;
  }
  const auto reply = wire::encode(wire::authenticate_reply{good, told});
  std::vector<std::byte> frame(wire::frame_header_bytes + reply.size());
  wire::encode_frame(wire::control_header(wire::command::authenticate_response), from.kind(), reply,
                     frame);
  from.answer(std::move(frame));
  if (from.failed_logins >= failed_logins_max)
    from.drain();
}

// A certificate that was checked says who somebody is.
void network_actor::identify(secure_stream& by) {
  const auto names = by.tls().peer_identities();
  if (names.empty())
    return;
  caller who;
  for (const auto& each : names)
    who.identities.push_back("cert:" + each);
  for (std::size_t i = 0; i < secure_.size(); ++i)
    if (secure_[i].get() == &by) {
      sessions_[i]->known_as(std::make_shared<const caller>(std::move(who)));
      sessions_[i]->set_payload_limit(payload_limit_of(*sessions_[i]));
      if (!count_connection(*sessions_[i]))
        sessions_[i]->close();
      return;
    }
}

// -- encrypted streams -----------------------------------------------------------------------

bool network_actor::resume_secure(bool fed) {
  if (fed) {
    for (auto* each : thirsty_) {
      each->waits = false;
      again(*each);
    }
    thirsty_.clear();
  }
  if (resuming_.empty())
    return false;
  resumed_.swap(resuming_);
  for (auto* each : resumed_) {
    each->listed = false;
    each->resume();
  }
  resumed_.clear();
  return true;
}

void network_actor::again(secure_stream& which) {
  if (!which.listed) {
    which.listed = true;
    resuming_.push_back(&which);
  }
}

void network_actor::wants(secure_stream& which) {
  if (!which.waits) {
    which.waits = true;
    thirsty_.push_back(&which);
    metrics_.add(counter::pool_exhausted);
  }
}

void network_actor::secured(secure_stream& which, std::uint64_t ns) {
  metrics_.add(counter::tls_handshakes);
  if (which.tls().resumed())
    metrics_.add(counter::tls_resumptions);
  metrics_.observe(histogram::tls_handshake, ns);
  identify(which);
}

void network_actor::insecure(secure_stream& which, runtime::tls_fault why) {
  metrics_.add(counter_of(why));
  if (why == runtime::tls_fault::truncated) // so many clients end that it says nothing of security
    return;
  metrics_.add(counter::errors_auth);
  runtime::log(runtime::log_level::info, "tls_refused",
               {{"reason", runtime::name_of(why)}, {"detail", which.tls().describe_fault()}});
}

// -- what sessions ask -----------------------------------------------------------------------

void network_actor::activate(session& which) {
  if (!which.listed) {
    which.listed = true;
    active_.push_back(&which);
  }
}

void network_actor::wants_send_buffer(session& which) {
  if (!which.waits_for_send && !which.waits_for_memory)
    hungry_.push_back(&which);
  which.waits_for_send = true;
  metrics_.add(counter::pool_exhausted);
}

void network_actor::wants_memory(session& which) {
  if (!which.waits_for_send && !which.waits_for_memory)
    hungry_.push_back(&which);
  which.waits_for_memory = true;
  // The least that any of the hungry has seen. What ingestion takes of decompressed payloads wakes
  // nobody, but their acknowledgements come after it.
  budget_seen_ = std::min(budget_seen_, budget_.left());
  plain_seen_ = std::max(plain_seen_, memory_.plain_bytes.load(std::memory_order_relaxed));
  metrics_.add(counter::pool_exhausted);
}

void network_actor::wants_assembly(session& which) {
  if (which.waits_for_memory)
    return; // counted already; something else made it look again
  if (assembly_waiters_ >= home_lane().receive_pool().count() / assembly_waiters_share) {
    metrics_.add(counter::errors_backpressure);
    which.close();
    return;
  }
  ++assembly_waiters_;
  wants_memory(which);
}

void network_actor::replied(reply_kind kind, std::uint64_t began_ns) {
  if (kind == reply_kind::ack)
    metrics_.observe(histogram::ingest_latency, now_ns_ - std::min(began_ns, now_ns_));
}

void network_actor::protocol_fault(session&, wire::verdict why) {
  const bool sum = why == wire::verdict::bad_header_crc || why == wire::verdict::bad_payload_crc;
  if (sum)
    metrics_.add(counter::crc_failures);
  metrics_.add(sum ? counter::errors_checksum : counter::errors_protocol);
}

void network_actor::strange_frame(wire::frame_kind kind) {
  if (kind == wire::frame_kind::backpressure)
    metrics_.add(counter::backpressure_events);
}

frames* network_actor::frames_for(std::size_t shard, std::size_t pieces) {
  auto& filling = filling_[shard];
  if (filling && (filling->batches.size() >= frames_batches_max ||
                  filling->buffers.size() >= frames_buffers_max ||
                  filling->pieces.size() + pieces > filling->pieces.capacity()))
    send_frames(shard);
  if (!filling) {
    filling = memory_.frames_messages.take();
    if (!filling)
      return nullptr;
    filling->plain_bytes = &memory_.plain_bytes;
    filling->received_ns = now_ns_;
    if (pieces > filling->pieces.capacity())
      filling->pieces.reserve(pieces); // the largest frames only, once per message
  }
  return &*filling;
}

void network_actor::send_frames(std::size_t shard) {
  if (!filling_[shard] || filling_[shard]->batches.empty())
    return;
  auto& filled = *filling_[shard];
  const auto now_ns = home_lane().time().steady_ns();
  metrics_.observe(histogram::stage_parse, now_ns - std::min(filled.received_ns, now_ns));
  filled.received_ns = now_ns; // the next stage begins
  memory_.frames_messages.send(routes_.ingestion[shard], std::move(filling_[shard]), context());
}

void network_actor::add(frames& to, const incoming_batch& batch, byte_view piece) {
  auto& added = to.batches.emplace_back(batch);
  added.first_piece = static_cast<std::uint32_t>(to.pieces.size());
  added.piece_count = 1;
  to.pieces.push_back(piece);
}

bool network_actor::ingest(const incoming_batch& batch, std::span<const byte_view> pieces,
                           runtime::buffer_ref& input, bool in_place,
                           std::vector<runtime::buffer_ref>& gathered) {
  const auto shard = shard_of(batch.log);
  auto* to = frames_for(shard, pieces.size());
  if (to == nullptr)
    return false;
  if (in_place) {
    if (to->buffers.empty() || to->buffers.back().data() != input.data())
      to->buffers.push_back(input.share());
    add(*to, batch, pieces.front());
    return true;
  }
  if (gathered.empty()) { // a small torn frame: it lies in the session's memory
    if (to->scratch_used) {
      send_frames(shard);
      to = frames_for(shard, pieces.size());
      if (to == nullptr)
        return false;
    }
    const auto piece = pieces.front();
    std::memcpy(to->scratch.data(), piece.data(), piece.size());
    to->scratch_used = true;
    add(*to, batch, byte_view{to->scratch}.first(piece.size()));
    return true;
  }
  auto& added = to->batches.emplace_back(batch);
  added.first_piece = static_cast<std::uint32_t>(to->pieces.size());
  added.piece_count = static_cast<std::uint32_t>(pieces.size());
  to->pieces.insert(to->pieces.end(), pieces.begin(), pieces.end());
  for (auto& buffer : gathered)
    to->buffers.push_back(std::move(buffer));
  gathered.clear();
  return true;
}

bool network_actor::ingest_compressed(const incoming_batch& batch,
                                      std::span<const byte_view> pieces, result<>& refused) {
  const auto envelope = in_one_piece(pieces);
  const auto head = wire::read_envelope(envelope, options_.max_frame_bytes);
  if (!head) {
    refused = tl::unexpected{head.error()};
    return true;
  }
  const auto waiting = memory_.plain_bytes.load(std::memory_order_relaxed);
  if (waiting > 0 && waiting + head->original_size > decompressed_bytes_max)
    return false;
  auto* to = frames_for(shard_of(batch.log), 1);
  if (to == nullptr)
    return false;
  std::vector<std::byte> plain;
  if (auto opened = wire::decompress(envelope, options_.max_frame_bytes, plain);
      !opened || plain.empty()) {
    refused = opened ? fail(errc::invalid_request) : tl::unexpected{opened.error()};
    return true;
  }
  memory_.plain_bytes.fetch_add(plain.size(), std::memory_order_relaxed);
  auto opened = batch;
  opened.source_compressed = true;
  opened.payload_bytes = static_cast<std::uint32_t>(plain.size());
  opened.payload_crc = wire::checksum(batch.kind, plain); // of what is stored
  to->plain.push_back(std::move(plain));
  add(*to, opened, to->plain.back());
  return true;
}

// -- requests --------------------------------------------------------------------------------

bool network_actor::request(session& from, const wire::frame_header& header,
                            std::span<const byte_view> pieces) {
  byte_view payload = pieces.empty() ? byte_view{} : pieces.front();
  if (pieces.size() > 1) {
    joined_ = in_one_piece(pieces);
    payload = joined_;
  }
  using wire::command;
  const auto code = wire::command_of(header);
  if (options_.access != nullptr && !admit(from, code, payload))
    return true;
  switch (code) {
  case command::fetch:
  case command::fetch_batches:
  case command::offset_lookup:
    return read_for(from, code, payload);
  case command::authenticate:
    authenticate(from, payload);
    return true;
  case command::register_producer:
    register_producer(from, payload);
    return true;
  case command::create_topic:
  case command::delete_topic:
  case command::list_topics:
  case command::get_topic:
  case command::set_retention:
  case command::create_topic_with_retention:
  case command::get_cluster_status:
  case command::subscribe:
  case command::unsubscribe:
  case command::commit_offset:
  case command::hello:
  case command::create_topic_x:
  case command::describe_topic:
  case command::set_topic:
  case command::unfence_topic:
    to_metadata(from, code, payload);
    return true;
  default:
    metrics_.add(counter::errors_protocol);
    from.refuse(errc::invalid_request, "Invalid client command");
    return true;
  }
}

void network_actor::register_producer(session& from, byte_view payload) {
  auto asked = wire::decode_producer(payload);
  if (!asked) {
    metrics_.add(counter::errors_protocol);
    from.refuse(asked.error().code, refusal_sentence(asked.error().code, 0));
    return;
  }
  for (std::random_device source; asked->producer == 0;)
    asked->producer = std::uint64_t{source()} << 32 | source();
  from.register_producer(*asked);
  const auto answer = wire::encode(*asked);
  std::vector<std::byte> frame(wire::frame_header_bytes + answer.size());
  wire::encode_frame(wire::control_header(wire::command::producer_registered), from.kind(), answer,
                     frame);
  from.answer(std::move(frame));
}

void network_actor::to_metadata(session& from, wire::command code, byte_view payload) {
  if (payload.size() > wire::json_request_bytes_max) {
    from.refuse(errc::too_large, "a control request is at most 64 KiB long");
    return;
  }
  send(routes_.metadata,
       control_request{from.address(from.body_ticket()),
                       code,
                       {payload.begin(), payload.end()},
                       options_.access != nullptr && book().rules && !book().write_only ? from.who()
                                                                                        : nullptr});
}

bool network_actor::read_for(session& from, wire::command code, byte_view payload) {
  const auto bad = [&](errc why) {
    metrics_.add(counter::errors_protocol);
    from.refuse(why, payload.empty() ? "Fetch request payload required"
                                     : "Protocol error: Fetch request payload too small");
    return true;
  };
  auto message = memory_.read_messages.take();
  if (!message)
    return false;
  auto& wanted = *message;
  wanted.from = from.address(from.body_ticket());
  wanted.received_ns = now_ns_;
  if (code == wire::command::fetch) {
    const auto asked = wire::decode_fetch(payload);
    if (!asked)
      return bad(asked.error().code);
    wanted.kind = asked->start == wire::fetch_end_query ? read_kind::end_only : read_kind::bytes;
    wanted.log = asked->log;
    wanted.start = asked->start;
    wanted.max_bytes = std::min(asked->max_bytes, wire::fetch_data_bytes_max);
  } else if (code == wire::command::fetch_batches) {
    const auto asked = wire::decode_fetch_batches(payload);
    if (!asked)
      return bad(asked.error().code);
    wanted.kind = read_kind::batches;
    wanted.log = asked->log;
    wanted.start = asked->start;
    wanted.max_bytes = asked->max_bytes;
    wanted.min_bytes = asked->min_bytes;
    wanted.max_wait_ms = asked->max_wait_ms;
  } else {
    const auto asked = wire::decode_offset_lookup(payload);
    if (!asked)
      return bad(asked.error().code);
    wanted.kind = read_kind::lookup;
    wanted.log = asked->log;
    wanted.lookup = asked->kind;
    wanted.lookup_value = asked->value;
  }
  if (wanted.log.value > client_log_max) {
    from.refuse(errc::topic_not_found, refusal_sentence(errc::topic_not_found, wanted.log.value));
    return true;
  }
  const auto shard = shard_of(wanted.log);
  memory_.read_messages.send(routes_.pollers[shard], std::move(message), context());
  return true;
}

// -- answers ---------------------------------------------------------------------------------

session* network_actor::find(const reply_address& to) noexcept {
  if (to.session >= sessions_.size())
    return nullptr;
  auto& found = *sessions_[to.session];
  return found.open() && found.generation() == to.generation ? &found : nullptr;
}

void network_actor::take(const outcomes& settled) {
  if (settled.durable_ns != 0)
    metrics_.observe(histogram::stage_ack, now_ns_ - std::min(settled.durable_ns, now_ns_));
  for (const auto& each : settled.list)
    if (auto* to = find({options_.number, each.session, each.generation, each.ticket}))
      to->complete(each.ticket, !each.done, each.refusal);
}

void network_actor::take(control_reply& reply) {
  auto* to = find(reply.to);
  if (to == nullptr)
    return;
  auto header = reply.ack_frame ? wire::ack_header(reply.ack_id) : wire::control_header(reply.code);
  std::vector<std::byte> frame(wire::frame_header_bytes + reply.payload.size());
  wire::encode_frame(header, to->kind(), reply.payload, frame);
  to->answer(std::move(frame));
}

void network_actor::take(runtime::message_ref<read_reply> reply) {
  if (auto* to = find(reply->to)) {
    metrics_.observe(histogram::fetch_latency, now_ns_ - std::min(reply->received_ns, now_ns_));
    if (options_.quotas != nullptr && options_.quotas->limits(quota_book::way::fetch)) {
      std::uint64_t bytes = 0;
      for (const auto size : reply->sizes)
        bytes += size;
      options_.quotas->take(quota_book::way::fetch, quota_name(*to), reply->log.value, bytes,
                            now_ns_);
    }
    to->answer(std::move(reply));
  }
}

} // namespace lance::actors
