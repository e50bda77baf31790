#include "runtime/reactor.hpp"

#include <bit>
#include <cerrno>
#include <unordered_map>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/check.hpp"
#include "runtime/uring.hpp"

namespace lance::runtime {

namespace {

constexpr std::uint16_t receive_group = 1;

class uring_reactor;

struct listener final : operation {
  listener(uring_reactor& owner, int descriptor, acceptor& receiver)
      : home(owner), socket(descriptor), target(receiver) {}
  void complete(std::int32_t result, bool more) override;
  uring_reactor& home;
  int socket;
  acceptor& target;
  bool stopping = false;
};

class uring_stream final : public socket_handle {
 public:
  uring_stream(uring_reactor& home, int socket, stream& owner)
      : home_(home), socket_(socket), owner_(owner), receive_(*this), send_(*this) {}

  void resume_receive() override {
    wanted_ = true;
    arm();
  }
  void pause_receive() override;
  void send(byte_view data) override;
  void end_sending() override;
  void close() override;

  void arm();
  void received(std::int32_t result, bool more);
  void was_sent(std::int32_t result);
  [[nodiscard]] bool idle() const noexcept { return !armed_ && unsent_.empty(); }
  [[nodiscard]] int socket() const noexcept { return socket_; }
  void finish() {
    ::close(socket_);
    owner_.stream_closed(); // may end the owner, never this: the reactor frees it
  }

 private:
  struct receive_operation final : operation {
    explicit receive_operation(uring_stream& s) : owner(s) {}
    void complete(std::int32_t result, bool more) override { owner.received(result, more); }
    uring_stream& owner;
  };
  struct send_operation final : operation {
    explicit send_operation(uring_stream& s) : owner(s) {}
    void complete(std::int32_t result, bool) override { owner.was_sent(result); }
    uring_stream& owner;
  };

  uring_reactor& home_;
  int socket_;
  stream& owner_;
  receive_operation receive_;
  send_operation send_;
  byte_view unsent_;
  bool wanted_ = false;
  bool armed_ = false;
  bool cancelling_ = false;
  bool ended_ = false;
  bool closing_ = false;
};

class uring_reactor final : public reactor {
 public:
  uring_reactor(std::unique_ptr<uring> ring, buffer_pool& pool)
      : ring_(std::move(ring)), pool_(pool) {}
  ~uring_reactor() override {
    ring_.reset(); // first of all: from here on the kernel touches none of our memory
    for (auto& [handle, owned] : streams_)
      ::close(owned->socket());
  }

  result<> open() {
    const auto places = std::min<std::uint32_t>(std::bit_ceil(pool_.count()), 1U << 15);
    if (auto made = ring_->make_buffer_group(receive_group, places); !made)
      return made;
    held_.resize(places);
    for (auto place = places; place-- > 0;)
      empty_.push_back(static_cast<std::uint16_t>(place));
    refill();
    return {};
  }

  void listen(int socket, acceptor& owner) override {
    // A ring answers EAGAIN for a non-blocking listener instead of waiting.
    ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) & ~O_NONBLOCK);
    auto& entry = *listeners_.emplace_back(std::make_unique<listener>(*this, socket, owner));
    ring_->accept(entry, socket);
  }
  void stop_listening(int socket) override {
    for (auto& entry : listeners_)
      if (entry->socket == socket && !entry->stopping) {
        entry->stopping = true;
        ring_->cancel(*entry);
      }
  }
  socket_handle& add(int socket, stream& owner) override {
    auto made = std::make_unique<uring_stream>(*this, socket, owner);
    auto& handle = *made;
    streams_.emplace(&handle, std::move(made));
    return handle;
  }

  bool turn() override {
    const bool any = ring_->turn();
    refill();
    return bury() || any;
  }
  void wait(std::uint64_t timeout_ns) override { ring_->wait(timeout_ns); }
  [[nodiscard]] bool ready() const noexcept override {
    // A buffer that returned since the last turn has woken nobody: the lane was not parked yet.
    const bool can_feed = !starved_.empty() && pool_.lent() < pool_.count();
    return can_feed || ring_->ready() || !dying_.empty();
  }
  void wake() noexcept override { ring_->wake(); }
  [[nodiscard]] uring* ring() noexcept override { return ring_.get(); }
  [[nodiscard]] std::uint64_t enters() const noexcept override { return ring_->enters(); }

  // -- for its parts ---------------------------------------------------------------------------
  buffer_ref take_received() {
    const auto place = ring_->last_buffer();
    LANCE_CHECK(place >= 0 && static_cast<std::size_t>(place) < held_.size(), place);
    empty_.push_back(static_cast<std::uint16_t>(place));
    return std::move(held_[static_cast<std::size_t>(place)]);
  }
  [[nodiscard]] bool carries_buffer() const noexcept { return ring_->last_buffer() >= 0; }
  void starve(uring_stream& hungry) { starved_.push_back(&hungry); }
  void kill(uring_stream& dying) { dying_.push_back(&dying); }
  void forget(listener& gone, bool stopped) {
    auto& target = gone.target;
    std::erase_if(listeners_, [&](const auto& entry) { return entry.get() == &gone; });
    if (stopped)
      target.accept_stopped();
  }

 private:
  // Puts returned buffers at the kernel's disposal again and feeds who starved for want of them.
  void refill() {
    bool any = false;
    while (!empty_.empty()) {
      auto buffer = pool_.take();
      if (!buffer)
        break;
      const auto place = empty_.back();
      empty_.pop_back();
      ring_->provide(receive_group, place, {buffer.data(), buffer.size()});
      held_[place] = std::move(buffer);
      any = true;
    }
    if (any)
      ring_->publish_provided(receive_group);
    // Whoever starved may have heard of it only after the buffers were there again.
    if (starved_.empty() || empty_.size() == held_.size())
      return;
    feeding_.swap(starved_);
    for (auto* hungry : feeding_)
      hungry->arm();
    feeding_.clear();
  }

  bool bury() {
    bool any = false;
    for (std::size_t i = 0; i < dying_.size();) {
      auto* dying = dying_[i];
      if (!dying->idle()) {
        ++i;
        continue;
      }
      dying_[i] = dying_.back();
      dying_.pop_back();
      std::erase(starved_, dying);
      dying->finish();
      streams_.erase(dying);
      any = true;
    }
    return any;
  }

 public:
  std::unique_ptr<uring> ring_;

 private:
  buffer_pool& pool_;
  std::vector<buffer_ref> held_;       // by place in the kernel's buffer ring
  std::vector<std::uint16_t> empty_;   // places without a buffer
  std::vector<uring_stream*> starved_; // their receive ended because no buffer was left
  std::vector<uring_stream*> feeding_;
  std::vector<uring_stream*> dying_;
  std::vector<std::unique_ptr<listener>> listeners_;
  std::unordered_map<uring_stream*, std::unique_ptr<uring_stream>> streams_;
};

void listener::complete(std::int32_t result, bool more) {
  if (stopping) {
    if (result >= 0)
      ::close(result);
    if (!more)
      home.forget(*this, true);
    return;
  }
  const bool passing = result == -ECONNABORTED || result == -EINTR || result == -EAGAIN;
  if (result >= 0 || !passing)
    target.accepted(result);
  if (more)
    return;
  if (stopping) // decided within accepted()
    home.forget(*this, true);
  else if (result >= 0 || passing)
    home.ring_->accept(*this, socket);
  else
    home.forget(*this, false);
}

void uring_stream::arm() {
  if (armed_ || !wanted_ || ended_ || closing_)
    return;
  armed_ = true;
  home_.ring_->receive_provided(receive_, socket_, receive_group,
                                home_.ring_->capabilities().multishot_receive);
}

void uring_stream::pause_receive() {
  wanted_ = false;
  if (armed_ && !cancelling_) {
    cancelling_ = true;
    home_.ring_->cancel(receive_);
  }
}

void uring_stream::received(std::int32_t result, bool more) {
  if (!more) {
    armed_ = false;
    cancelling_ = false;
  }
  buffer_ref buffer;
  if (home_.carries_buffer())
    buffer = home_.take_received();
  if (closing_)
    return;
  if (result > 0) {
    // record 1/9: bytes arrive
    owner_.received(std::move(buffer), static_cast<std::uint32_t>(result));
    if (!more)
      arm();
  } else if (result == -ENOBUFS) {
    if (!armed_)
      home_.starve(*this);
  } else if (result == -ECANCELED || result == -EINTR || result == -EAGAIN) {
    arm(); // paused; wanted again meanwhile?
  } else {
    ended_ = true;
    owner_.receive_ended(result);
  }
}

void uring_stream::send(byte_view data) {
  LANCE_CHECK(unsent_.empty() && !data.empty() && !closing_, unsent_.size(), data.size());
  unsent_ = data;
  home_.ring_->send(send_, socket_, unsent_);
}

void uring_stream::was_sent(std::int32_t result) {
  if (result == -EINTR || result == -EAGAIN)
    result = 0;
  else if (result <= 0) {
    unsent_ = {};
    if (!closing_)
      owner_.sent(result == 0 ? -EPIPE : result);
    return;
  }
  unsent_ = unsent_.subspan(static_cast<std::size_t>(result));
  if (closing_)
    unsent_ = {};
  else if (!unsent_.empty())
    home_.ring_->send(send_, socket_, unsent_);
  else
    owner_.sent(0);
}

void uring_stream::end_sending() {
  LANCE_CHECK(unsent_.empty(), unsent_.size());
  ::shutdown(socket_, SHUT_WR); // of a socket that failed: receiving tells
}

void uring_stream::close() {
  if (closing_)
    return;
  closing_ = true;
  ::shutdown(socket_, SHUT_RDWR); // ends what the kernel has under way
  if (armed_ && !cancelling_) {
    cancelling_ = true;
    home_.ring_->cancel(receive_);
  }
  if (!unsent_.empty())
    home_.ring_->cancel(send_);
  home_.kill(*this);
}

} // namespace

result<std::unique_ptr<reactor>> make_uring_reactor(std::unique_ptr<uring> ring,
                                                    buffer_pool& receive_pool) {
  auto made = std::make_unique<uring_reactor>(std::move(ring), receive_pool);
  if (auto opened = made->open(); !opened)
    return tl::unexpected{opened.error()};
  return made;
}

} // namespace lance::runtime
