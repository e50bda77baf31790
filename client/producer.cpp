#include "client/producer.hpp"

#include <algorithm>
#include <map>
#include <thread>

#include "client/admin.hpp"
#include "client/producer_io.hpp"
#include "runtime/check.hpp"

namespace lance::client {

namespace {

// Each topic and partition sent to is remembered for the producer's life.
constexpr std::size_t topics_max = 10'000;

// Options that could not work are brought within what can.
producer_options workable(producer_options options) {
  options.batch_bytes = std::clamp<std::size_t>(options.batch_bytes, 1, wire::payload_bytes_max);
  options.in_flight_max = std::max<std::size_t>(options.in_flight_max, 1);
  options.linger = std::max(options.linger, std::chrono::microseconds{0});
  return options;
}

} // namespace

class producer::state {
 public:
  explicit state(const producer_options& options)
      : shared_(workable(options)), admin_(options.connection), io_(shared_),
        thread_([this] { io_.run(); }) {}

  ~state() {
    {
      const std::lock_guard guard{shared_.lock};
      shared_.closed = true;
      shared_.ending = true;
    }
    shared_.changed.notify_all();
    shared_.wake.wake();
    if (thread_.joinable())
      thread_.join();
  }

  outcome<> send(const outgoing_record& what, delivery_callback callback);
  outcome<> flush(deadline until);
  outcome<> close(deadline until);
  producer_stats stats();

 private:
  using held_lock = std::unique_lock<std::mutex>;

  outcome<> judge(const outgoing_record& what, std::size_t bytes) const;
  outcome<outgoing_topic*> find(const outgoing_record& what, held_lock& held);
  outgoing_topic* known(const outgoing_record& what);
  std::optional<std::uint64_t> payload_limit();
  outcome<> wait_for_memory(const outgoing_topic& topic, std::size_t bytes, held_lock& held);
  bool has_memory(const outgoing_topic& topic, std::size_t bytes) const;

  producer_shared shared_;
  std::map<std::pair<std::string, std::uint32_t>, outgoing_topic, std::less<>> topics_;
  outgoing_topic* last_ = nullptr; ///< the topic of the last send, likely the next one's too

  std::mutex admin_lock_; ///< never taken with shared_.lock held
  admin admin_;
  bool limit_asked_ = false; ///< under admin_lock_

  producer_io io_;
  std::thread thread_;
};

outcome<> producer::state::judge(const outgoing_record& what, std::size_t bytes) const {
  const auto& options = shared_.options;
  if (bytes > shared_.payload_bytes_max || bytes > options.memory_bytes)
    return refuse(errc::too_large, "a record of " + std::to_string(bytes) + " bytes is too large",
                  {}, what.topic);
  if (what.key && (options.framing == framing::raw || what.key->size() > key_bytes_max))
    return refuse(errc::invalid_request, "keys need framed records and have at most 65535 bytes",
                  {}, what.topic);
  return {};
}

outcome<> producer::state::send(const outgoing_record& what, delivery_callback callback) {
  const auto bytes = encoded_bytes(shared_.options.framing, what.key, what.value);
  held_lock held{shared_.lock};
  const auto topic = find(what, held);
  if (!topic)
    return tl::unexpected{topic.error()};
  if (auto good = judge(what, bytes); !good)
    return good;
  if (auto room = wait_for_memory(**topic, bytes, held); !room)
    return room;
  if (shared_.closed)
    return refuse(errc::closed, "the producer has been closed", {}, what.topic);

  auto& gathered = shared_.gathered;
  const auto charge = gathered.charge_for(**topic, bytes);
  const auto now = charge != 0 ? deadline::now_ns() : 0; // an open batch has its time already
  gathered.add(**topic, what.key, what.value, std::move(callback), now);
  if (charge != 0) {
    shared_.memory_used += charge;
    shared_.unfinished.insert(gathered.last_sequence());
    const auto linger = std::chrono::nanoseconds{shared_.options.linger}.count();
    shared_.look_by(now + static_cast<std::uint64_t>(linger));
  }
  if (!gathered.sealed().empty())
    shared_.look_by(1);
  return {};
}

outgoing_topic* producer::state::known(const outgoing_record& what) {
  if (last_ != nullptr && last_->partition == what.partition && last_->name == what.topic)
    return last_;
  const auto found = topics_.find(std::pair{std::string{what.topic}, what.partition});
  return found == topics_.end() ? nullptr : &found->second;
}

// Lets the lock go while a server is asked.
outcome<outgoing_topic*> producer::state::find(const outgoing_record& what, held_lock& held) {
  if (auto* topic = known(what); topic != nullptr && !topic->stale) {
    last_ = topic;
    return topic;
  }
  if (topics_.size() >= topics_max)
    return refuse(errc::exhausted, "this producer has sent to too many topics", {}, what.topic);
  held.unlock();
  const std::string name{what.topic};
  std::optional<std::uint64_t> limit;
  const auto log = [&] {
    const std::lock_guard asking{admin_lock_};
    admin_.forget(name);
    limit = payload_limit();
    return admin_.resolve(name, what.partition);
  }();
  held.lock();
  if (limit && *limit < shared_.payload_bytes_max) {
    shared_.payload_bytes_max = *limit;
    shared_.gathered.limit_batches(*limit);
  }
  if (!log)
    return tl::unexpected{log.error()};
  auto& topic = topics_[{name, what.partition}];
  topic.name = name;
  topic.partition = what.partition;
  topic.log = *log;
  topic.stale = false;
  last_ = &topic;
  return &topic;
}

// A longer frame would cost the connection without a word. Asked once: hello is about the server.
std::optional<std::uint64_t> producer::state::payload_limit() {
  if (std::exchange(limit_asked_, true))
    return std::nullopt;
  const auto server = admin_.hello();
  return server && server->max_frame_bytes != 0 ? std::optional{server->max_frame_bytes}
                                                : std::nullopt;
}

bool producer::state::has_memory(const outgoing_topic& topic, std::size_t bytes) const {
  const auto charge = shared_.gathered.charge_for(topic, bytes);
  // One batch is always allowed: its bound is its own.
  return charge == 0 || shared_.memory_used == 0 ||
         shared_.memory_used + charge <= shared_.options.memory_bytes;
}

outcome<> producer::state::wait_for_memory(const outgoing_topic& topic, std::size_t bytes,
                                           held_lock& held) {
  const auto ready = [&] { return shared_.closed || has_memory(topic, bytes); };
  if (ready())
    return {};
  const bool may_wait = !shared_.callbacks.is_this_thread();
  ++shared_.hurry;
  shared_.look_by(1);
  const bool came = may_wait && shared_.changed.wait_for(held, shared_.options.send_timeout, ready);
  --shared_.hurry;
  if (!came)
    return refuse(errc::exhausted, "the producer's memory is used up by unanswered batches", {},
                  topic.name);
  return {};
}

outcome<> producer::state::flush(deadline until) {
  LANCE_CHECK(!shared_.callbacks.is_this_thread());
  held_lock held{shared_.lock};
  const auto target = shared_.gathered.last_sequence();
  const auto done = [&] {
    return shared_.unfinished.empty() || *shared_.unfinished.begin() > target;
  };
  ++shared_.hurry;
  shared_.wake.wake();
  bool came = done();
  while (!came && !until.passed()) {
    // In slices: "never" is more than a condition variable can count.
    shared_.changed.wait_for(
        held, std::min<std::chrono::nanoseconds>(until.left(), std::chrono::hours{1}));
    came = done();
  }
  --shared_.hurry;
  if (auto first = std::exchange(shared_.first_failure, std::nullopt))
    return tl::unexpected{std::move(*first)};
  if (!came)
    return refuse(errc::timed_out, "not everything was acknowledged in time");
  return {};
}

outcome<> producer::state::close(deadline until) {
  {
    const held_lock held{shared_.lock};
    shared_.closed = true;
  }
  shared_.changed.notify_all();
  auto flushed = flush(until);
  {
    const held_lock held{shared_.lock};
    shared_.ending = true;
  }
  shared_.wake.wake();
  if (thread_.joinable())
    thread_.join();
  return flushed;
}

producer_stats producer::state::stats() {
  const held_lock held{shared_.lock};
  return shared_.stats;
}

// --- the face ------------------------------------------------------------------------------------

producer::producer(const producer_options& options) : state_(std::make_unique<state>(options)) {}
producer::~producer() = default;

outcome<> producer::send(const outgoing_record& what, delivery_callback callback) {
  return state_->send(what, std::move(callback));
}

outcome<std::future<delivery>> producer::send_with_future(const outgoing_record& what) {
  auto promise = std::make_shared<std::promise<delivery>>();
  auto future = promise->get_future();
  auto taken = send(what, [promise](const delivery& told) { promise->set_value(told); });
  if (!taken)
    return tl::unexpected{taken.error()};
  return future;
}

outcome<> producer::flush(deadline until) {
  return state_->flush(until);
}

outcome<> producer::close(deadline until) {
  return state_->close(until);
}

producer_stats producer::stats() const {
  return state_->stats();
}

} // namespace lance::client
