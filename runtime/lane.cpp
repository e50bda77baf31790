#include "runtime/lane.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>

#include <pthread.h>
#include <sched.h>

#include "runtime/check.hpp"
#include "runtime/log.hpp"
#include "runtime/types.hpp"

namespace lance::runtime {

namespace {

thread_local lane* this_lane = nullptr;

// Looking around this long before blocking: a wake-up of a blocked thread costs 10 us and more, and
// the answer to what was just submitted often comes within this time.
constexpr std::uint64_t look_around_ns = 20 * us_in_ns;
// A parked lane looks up at least this often, so that no lost wake-up can stall it for ever.
constexpr std::uint64_t longest_park_ns = 500 * ms_in_ns;
// Rounds of actor work before the kernel is asked again.
constexpr int rounds_per_turn = 8;
constexpr int jobs_per_round = 8;
constexpr std::size_t messages_per_job = 256;

constexpr auto later = [](const auto& a, const auto& b) { return a.deadline_ns > b.deadline_ns; };

} // namespace

lane* lane::current() noexcept {
  return this_lane;
}

lane::lane(caf::actor_system& owner, const lane_options& options)
    : caf::execution_unit(&owner), options_(options) {}

lane::~lane() {
  LANCE_CHECK(!thread_.joinable(), options_.number);
}

result<> lane::start() {
  std::promise<result<>> prepared;
  auto outcome = prepared.get_future();
  thread_ = std::thread{[this, &prepared] {
    this_lane = this;
    pin();
    ::pthread_setname_np(::pthread_self(),
                         ("lance-lane" + std::to_string(options_.number)).c_str());
    auto stands = prepare();
    const bool failed = !stands.has_value();
    prepared.set_value(stands);
    if (failed)
      return;
    system().thread_started();
    run();
    system().thread_terminates();
  }};
  auto stands = outcome.get();
  if (!stands)
    thread_.join();
  return stands;
}

// Newer kernels count a ring's own memory against RLIMIT_MEMLOCK: where little may be locked, a
// shallower ring does the same work with more entries into the kernel. Without any, the fallback.
result<> lane::prepare_ring() {
  constexpr unsigned least_depth = 64;
  error refusal{errc::io_failed, ENOMEM};
  for (auto depth = options_.submission_depth; depth >= least_depth && refusal.system == ENOMEM;
       depth /= 2) {
    refusal = {};
    auto ring = uring::make(options_.capabilities, {.submission_depth = depth});
    if (!ring) {
      refusal = ring.error();
      continue;
    }
    auto made = make_uring_reactor(std::move(*ring), *receive_pool_);
    if (!made) {
      refusal = made.error();
      continue;
    }
    reactor_ = std::move(*made);
    register_pools();
    if (depth < options_.submission_depth)
      log(log_level::warning, "ring_made_shallower",
          {{"lane", options_.number},
           {"depth", depth},
           {"remedy", "raise the limit of locked memory (RLIMIT_MEMLOCK)"}});
    return {};
  }
  if (refusal.system != ENOMEM)
    return tl::unexpected{refusal};
  log(log_level::warning, "lane_without_ring",
      {{"lane", options_.number},
       {"backend", "pwritev"},
       {"remedy", "raise the limit of locked memory (RLIMIT_MEMLOCK)"}});
  return {};
}

void lane::register_pools() {
  for (auto* pool : options_.file_pools) {
    const auto done = ring()->register_pool(*pool);
    if (done || registration_refusal_ != 0)
      continue;
    registration_refusal_ = done.error().system != 0 ? done.error().system : EINVAL;
    log(log_level::warning, "buffers_not_registered",
        {{"lane", options_.number},
         {"error", std::strerror(registration_refusal_)},
         {"remedy", "raise the limit of locked memory (RLIMIT_MEMLOCK) above io.buffer_bytes"}});
  }
}

result<> lane::prepare() {
  auto pool = buffer_pool::make({.count = options_.receive_buffers,
                                 .buffer_bytes = options_.receive_buffer_bytes,
                                 .numa_node = options_.numa_node,
                                 .huge_pages = true});
  if (!pool)
    return tl::unexpected{pool.error()};
  receive_pool_ = std::move(*pool);
  receive_pool_->on_return([](void* self) { static_cast<lane*>(self)->notify(); }, this);
  if (options_.use_uring)
    if (auto made = prepare_ring(); !made)
      return made;
  if (reactor_ == nullptr) {
    auto made = make_epoll_reactor(*receive_pool_);
    if (!made)
      return tl::unexpected{made.error()};
    reactor_ = std::move(*made);
  }
  helper_ = std::make_unique<blocking_thread>(
      [](void* self) { static_cast<lane*>(self)->notify(); }, this);
  return {};
}

void lane::stop() {
  if (!thread_.joinable())
    return;
  stop_.store(true);
  notify();
  thread_.join();
}

void lane::drain() {
  helper_.reset();
  const auto left = std::move(pollables_);
  pollables_.clear();
  for (auto* each : left)
    if (each != nullptr)
      each->lane_ended();
  while (auto* node = next_job())
    caf::scheduler::abstract_coordinator::cleanup_and_release(node->job);
  reactor_.reset();
}

void lane::exec_later(caf::resumable* job) {
  system().scheduler().enqueue(job);
}

void lane::schedule(lane_node& node) noexcept {
  if (this_lane == this) {
    push_local(node);
    return;
  }
  auto* head = inbox_.load(std::memory_order_relaxed);
  do {
    node.next = head;
  } while (!inbox_.compare_exchange_weak(head, &node, std::memory_order_release,
                                         std::memory_order_relaxed));
  notify();
}

void lane::notify() noexcept {
  if (this_lane == this)
    return;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (parked_.load(std::memory_order_relaxed) && parked_.exchange(false, std::memory_order_acq_rel))
    reactor_->wake();
}

void lane::add(pollable& target) {
  pollables_.push_back(&target);
}

void lane::remove(pollable& target) {
  for (auto& each : pollables_)
    if (each == &target) {
      each = nullptr; // erased after the round: poll() may remove itself
      sweep_ = true;
    }
}

void lane::arm(lane_timer& timer, std::uint64_t deadline_ns) {
  deadline_ns = std::max<std::uint64_t>(deadline_ns, 1);
  if (timer.deadline_ns == deadline_ns)
    return; // it is in the heap already
  timer.deadline_ns = deadline_ns;
  timers_.push_back({timer.deadline_ns, &timer});
  std::push_heap(timers_.begin(), timers_.end(), later);
}

void lane::forget(lane_timer& timer) {
  timer.deadline_ns = 0;
  std::erase_if(timers_, [&](const due& each) { return each.timer == &timer; });
  std::make_heap(timers_.begin(), timers_.end(), later);
}

bool lane::expire_timers() {
  if (timers_.empty())
    return false;
  const auto now = clock_.steady_ns();
  bool any = false;
  while (!timers_.empty() && timers_.front().deadline_ns <= now) {
    const auto soonest = timers_.front();
    std::pop_heap(timers_.begin(), timers_.end(), later);
    timers_.pop_back();
    if (soonest.timer->deadline_ns != soonest.deadline_ns)
      continue; // disarmed or armed again since
    soonest.timer->deadline_ns = 0;
    soonest.timer->expired(now);
    any = true;
  }
  return any;
}

void lane::pin() {
  if (options_.cpu < 0)
    return;
  cpu_set_t wanted;
  CPU_ZERO(&wanted);
  CPU_SET(static_cast<std::size_t>(options_.cpu), &wanted);
  // Placement only names CPUs this process may use; if one is taken away meanwhile the lane runs
  // on.
  ::sched_setaffinity(0, sizeof wanted, &wanted);
}

void lane::push_local(lane_node& node) noexcept {
  node.next = nullptr;
  if (tail_ != nullptr)
    tail_->next = &node;
  else
    head_ = &node;
  tail_ = &node;
}

void lane::take_inbox() noexcept {
  if (inbox_.load(std::memory_order_relaxed) == nullptr)
    return;
  auto* newest = inbox_.exchange(nullptr, std::memory_order_acquire);
  lane_node* oldest = nullptr;
  while (newest != nullptr) {
    auto* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  while (oldest != nullptr) {
    auto* next = oldest->next;
    push_local(*oldest);
    oldest = next;
  }
}

lane_node* lane::next_job() noexcept {
  take_inbox();
  auto* node = head_;
  if (node != nullptr) {
    head_ = node->next;
    if (head_ == nullptr)
      tail_ = nullptr;
  }
  return node;
}

bool lane::run_jobs() {
  bool any = false;
  for (int i = 0; i < jobs_per_round; ++i) {
    auto* node = next_job();
    if (node == nullptr)
      break;
    any = true;
    auto* job = node->job;
    if (job->resume(this, messages_per_job) == caf::resumable::resume_later)
      push_local(*node);
    else
      intrusive_ptr_release(job);
  }
  return any;
}

bool lane::work_once() {
  bool any = false;
  // By index: a pollable's work may add further ones.
  for (std::size_t i = 0; i < pollables_.size(); ++i)
    if (pollables_[i] != nullptr)
      any = pollables_[i]->poll() || any;
  if (sweep_) {
    std::erase(pollables_, nullptr);
    sweep_ = false;
  }
  return run_jobs() || any;
}

void lane::run() {
  std::uint64_t idle_since = 0;
  for (;;) {
    const auto began = clock_.steady_ns();
    bool progress = false;
    for (int round = 0; round < rounds_per_turn && work_once(); ++round)
      progress = true;
    progress = reactor_->turn() || progress;
    progress = (helper_->ready() && helper_->deliver()) || progress;
    progress = expire_timers() || progress;
    if (progress) {
      idle_since = 0;
      const auto took = clock_.steady_ns() - began;
      if (took > longest_turn_ns_.load(std::memory_order_relaxed))
        longest_turn_ns_.store(took, std::memory_order_relaxed);
      continue;
    }
    if (stop_.load(std::memory_order_relaxed))
      return;
    if (idle_since == 0)
      idle_since = began;
    if (options_.idle == idle_policy::spin || began - idle_since < look_around_ns) {
      __builtin_ia32_pause();
      continue;
    }
    park();
    idle_since = 0;
  }
}

void lane::park() {
  parked_.store(true, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  bool work = stop_.load() || inbox_.load() != nullptr || helper_->ready() || reactor_->ready();
  for (auto* each : pollables_)
    work = work || (each != nullptr && each->ready());
  if (!work) {
    auto limit = longest_park_ns;
    if (!timers_.empty()) {
      const auto now = clock_.steady_ns();
      const auto soonest = timers_.front().deadline_ns;
      limit = soonest <= now ? 0 : std::min(limit, soonest - now);
    }
    if (limit > 0) {
      parks_.fetch_add(1, std::memory_order_relaxed);
      reactor_->wait(limit);
    }
  }
  parked_.store(false, std::memory_order_relaxed);
}

} // namespace lance::runtime
