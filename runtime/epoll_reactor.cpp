#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <unordered_map>
#include <vector>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/check.hpp"
#include "runtime/reactor.hpp"
#include "runtime/types.hpp"

namespace lance::runtime {

namespace {

// So many receives of one socket before the others get their turn.
constexpr int receives_per_turn = 4;

class epoll_reactor;

/// What epoll's user data points to: a listener, a stream, or the wake-up event.
struct source {
  virtual void happened(std::uint32_t events) = 0;

 protected:
  ~source() = default;
};

class epoll_stream final : public socket_handle, public source {
 public:
  epoll_stream(epoll_reactor& home, int socket, stream& owner)
      : home_(home), socket_(socket), owner_(owner) {}

  void happened(std::uint32_t events) override {
    readable_ = readable_ || (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0;
    writable_ = writable_ || (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
    schedule();
  }
  void resume_receive() override {
    wanted_ = true;
    schedule();
  }
  void pause_receive() override { wanted_ = false; }
  void send(byte_view data) override {
    LANCE_CHECK(unsent_.empty() && !data.empty() && !closing_, unsent_.size(), data.size());
    unsent_ = data;
    schedule();
  }
  void end_sending() override {
    LANCE_CHECK(unsent_.empty(), unsent_.size());
    ::shutdown(socket_, SHUT_WR); // of a socket that failed: receiving tells
  }
  /// The reactor could not watch the socket.
  void fail(int error) {
    failure_ = error;
    schedule();
  }
  void close() override {
    closing_ = true;
    unsent_ = {};
    schedule();
  }

  /// One turn of this stream. False once it is closed and to be forgotten.
  bool work();
  [[nodiscard]] bool due() const noexcept {
    return closing_ || (failure_ != 0 && !ended_) || (writable_ && !unsent_.empty()) ||
           (readable_ && wanted_ && !ended_ && !starved_);
  }
  void fed() {
    starved_ = false;
    schedule();
  }
  [[nodiscard]] stream& owner() const noexcept { return owner_; }
  [[nodiscard]] int socket() const noexcept { return socket_; }
  bool listed = false;

 private:
  void schedule();
  void receive_some();
  void send_some();

  epoll_reactor& home_;
  int socket_;
  stream& owner_;
  byte_view unsent_;
  bool wanted_ = false;
  bool readable_ = false;
  bool writable_ = true;
  bool starved_ = false;
  bool ended_ = false;
  bool closing_ = false;
  int failure_ = 0;
};

struct epoll_listener final : source {
  epoll_listener(epoll_reactor& owner, int descriptor, acceptor& receiver)
      : home(owner), socket(descriptor), target(receiver) {}
  void happened(std::uint32_t) override;
  epoll_reactor& home;
  int socket;
  acceptor& target;
  bool stopped = false;
  bool failed = false;
};

class epoll_reactor final : public reactor, public source {
 public:
  explicit epoll_reactor(buffer_pool& pool) : pool_(pool) {}
  ~epoll_reactor() override {
    for (auto& [handle, owned] : streams_)
      ::close(owned->socket());
    if (epoll_ >= 0)
      ::close(epoll_);
    if (wake_event_ >= 0)
      ::close(wake_event_);
  }

  result<> open() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    wake_event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (epoll_ < 0 || wake_event_ < 0)
      return fail(errc::io_failed, errno);
    if (const auto error = watch(wake_event_, *this, EPOLLIN); error != 0)
      return fail(errc::io_failed, error);
    return {};
  }

  void happened(std::uint32_t) override {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto drained = ::read(wake_event_, &count, sizeof count);
  }

  void listen(int socket, acceptor& owner) override {
    ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK);
    auto& entry = *listeners_.emplace_back(std::make_unique<epoll_listener>(*this, socket, owner));
    // Level-triggered: what a burst left over comes again.
    if (const auto error = watch(socket, entry, EPOLLIN); error != 0) {
      listeners_.pop_back();
      owner.accepted(-error);
    }
  }
  void stop_listening(int socket) override {
    for (auto& entry : listeners_)
      if (entry->socket == socket && !entry->stopped) {
        entry->stopped = true;
        ::epoll_ctl(epoll_, EPOLL_CTL_DEL, socket, nullptr);
        stopped_ = true;
      }
  }
  socket_handle& add(int socket, stream& owner) override {
    auto made = std::make_unique<epoll_stream>(*this, socket, owner);
    auto& handle = *made;
    streams_.emplace(&handle, std::move(made));
    if (const auto error = watch(socket, handle, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
        error != 0)
      handle.fail(error);
    return handle;
  }

  bool turn() override {
    poll(0);
    bool any = happened_;
    happened_ = false;
    if (can_feed()) {
      auto hungry = std::move(starved_);
      starved_.clear();
      for (auto* each : hungry)
        each->fed();
    }
    working_.swap(active_);
    for (auto* each : working_) {
      any = true;
      const bool open = each->work(); // still listed: what it asks for meanwhile lists nothing
      each->listed = false;
      if (!open)
        forget(*each);
      else if (each->due())
        activate(*each);
    }
    working_.clear();
    if (stopped_)
      forget_listeners();
    return any;
  }

  void wait(std::uint64_t timeout_ns) override {
    const auto limit_ms = (timeout_ns + ms_in_ns - 1) / ms_in_ns;
    poll(static_cast<int>(std::min<std::uint64_t>(limit_ms, 60'000)));
  }
  [[nodiscard]] bool ready() const noexcept override {
    return !active_.empty() || happened_ || stopped_ || can_feed();
  }
  void wake() noexcept override {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_event_, &one, sizeof one);
  }
  [[nodiscard]] uring* ring() noexcept override { return nullptr; }
  [[nodiscard]] std::uint64_t enters() const noexcept override { return enters_; }

  // -- for its parts ---------------------------------------------------------------------------
  buffer_ref take() noexcept { return pool_.take(); }
  void starve(epoll_stream& hungry) { starved_.push_back(&hungry); }
  void suspend(epoll_listener& failing) {
    failing.failed = true;
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, failing.socket, nullptr);
    stopped_ = true;
  }
  void activate(epoll_stream& ready) {
    if (!ready.listed) {
      ready.listed = true;
      active_.push_back(&ready);
    }
  }

 private:
  // An errno: the kernel bounds what a user may watch.
  int watch(int descriptor, source& target, std::uint32_t events) {
    epoll_event wanted{};
    wanted.events = events;
    wanted.data.ptr = &target;
    return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &wanted) == 0 ? 0 : errno;
  }

  // Reads readiness into the sources' flags. A turn polls once; what wait() found is kept.
  void poll(int limit_ms) {
    std::array<epoll_event, 256> events;
    ++enters_;
    const int count =
        ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), limit_ms);
    for (int i = 0; i < count; ++i) {
      happened_ = true;
      static_cast<source*>(events[static_cast<std::size_t>(i)].data.ptr)
          ->happened(events[static_cast<std::size_t>(i)].events);
    }
  }

  // Asked before parking too: a buffer that returned since the last turn has woken nobody.
  [[nodiscard]] bool can_feed() const noexcept {
    return !starved_.empty() && pool_.lent() < pool_.count();
  }

  void forget(epoll_stream& gone) {
    std::erase(starved_, &gone);
    ::close(gone.socket()); // leaves the epoll set by that
    gone.owner().stream_closed();
    streams_.erase(&gone);
  }

  void forget_listeners() {
    stopped_ = false;
    auto entries = std::move(listeners_);
    listeners_.clear();
    for (auto& entry : entries)
      if (entry->stopped)
        entry->target.accept_stopped();
      else if (!entry->failed)
        listeners_.push_back(std::move(entry));
  }

  buffer_pool& pool_;
  int epoll_ = -1;
  int wake_event_ = -1;
  bool happened_ = false;
  bool stopped_ = false;
  std::uint64_t enters_ = 0;
  std::vector<epoll_stream*> active_;
  std::vector<epoll_stream*> working_;
  std::vector<epoll_stream*> starved_;
  std::vector<std::unique_ptr<epoll_listener>> listeners_;
  std::unordered_map<epoll_stream*, std::unique_ptr<epoll_stream>> streams_;
};

void epoll_listener::happened(std::uint32_t) {
  // A flood must not keep the others waiting; level-triggered, what is left comes again.
  for (int i = 0; i < 64 && !stopped && !failed; ++i) {
    const int connection = ::accept4(socket, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
      return;
    const int outcome = connection < 0 ? -errno : connection;
    if (outcome < 0)
      home.suspend(*this);
    target.accepted(outcome);
  }
}

void epoll_stream::schedule() {
  if (due())
    home_.activate(*this);
}

bool epoll_stream::work() {
  if (failure_ != 0 && !ended_ && !closing_) {
    ended_ = true;
    owner_.receive_ended(-failure_);
    return !closing_;
  }
  if (!closing_ && writable_ && !unsent_.empty())
    send_some();
  if (!closing_ && readable_ && wanted_ && !ended_ && !starved_)
    receive_some();
  return !closing_;
}

void epoll_stream::receive_some() {
  for (int i = 0; i < receives_per_turn && readable_ && wanted_ && !closing_; ++i) {
    auto buffer = home_.take();
    if (!buffer) {
      starved_ = true;
      home_.starve(*this);
      return;
    }
    const auto size = ::recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size > 0) {
      owner_.received(std::move(buffer), static_cast<std::uint32_t>(size));
    } else if (size < 0 && errno == EAGAIN) {
      readable_ = false;
    } else if (size == 0 || errno != EINTR) {
      ended_ = true;
      owner_.receive_ended(size == 0 ? 0 : -errno);
      return;
    }
  }
}

void epoll_stream::send_some() {
  const auto size = ::send(socket_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (size < 0) {
    if (errno == EAGAIN)
      writable_ = false;
    else if (errno != EINTR) {
      unsent_ = {};
      owner_.sent(-errno);
    }
    return;
  }
  unsent_ = unsent_.subspan(static_cast<std::size_t>(size));
  if (unsent_.empty())
    owner_.sent(0);
}

} // namespace

result<std::unique_ptr<reactor>> make_epoll_reactor(buffer_pool& receive_pool) {
  auto made = std::make_unique<epoll_reactor>(receive_pool);
  if (auto opened = made->open(); !opened)
    return tl::unexpected{opened.error()};
  return made;
}

} // namespace lance::runtime
