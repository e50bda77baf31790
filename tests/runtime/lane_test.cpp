// Debian's CAF is not instrumented: to ThreadSanitizer everything that passes through a mailbox
// looks like a race. These stories run under AddressSanitizer instead.
#if !defined(__SANITIZE_THREAD__)

#include "runtime/lane.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <thread>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <catch2/catch.hpp>

#include "runtime/lane_scheduler.hpp"
#include "runtime/owned_message.hpp"
#include "runtime/types.hpp"
#include "tests/runtime/allocations.hpp"
#include "tests/wire/random.hpp"

namespace lance::runtime {
namespace {

using steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct parcel {
  buffer_ref buffer;
  std::uint64_t number = 0;
  static inline std::atomic<int> recycled{0};
  void recycle() noexcept {
    buffer.reset();
    number = 0;
    recycled.fetch_add(1, std::memory_order_relaxed);
  }
};

} // namespace
} // namespace lance::runtime

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(lance::runtime::message_ref<lance::runtime::parcel>)

namespace lance::runtime {
namespace {

template <class Condition>
bool await(Condition met, milliseconds limit = milliseconds{20'000}) {
  const auto end = steady::now() + limit;
  while (!met()) {
    if (steady::now() > end)
      return false;
    std::this_thread::sleep_for(std::chrono::microseconds{100});
  }
  return true;
}

/// An actor system with lanes, gone with its scope.
class bench {
 public:
  bench(std::size_t lanes, bool with_uring, idle_policy idle = idle_policy::park) {
    const auto found = probe_uring();
    std::vector<lane_options> plan(lanes);
    for (std::size_t i = 0; i < lanes; ++i) {
      plan[i].number = i;
      plan[i].idle = idle;
      plan[i].use_uring = with_uring && found.available;
      plan[i].capabilities = found;
      plan[i].submission_depth = 64;
      plan[i].receive_buffers = 4;
      plan[i].receive_buffer_bytes = 4096;
    }
    config_.set("scheduler.max-threads", std::size_t{2});
    lane_scheduler::install(config_, std::move(plan));
    system_.emplace(config_);
    system_->await_actors_before_shutdown(false);
    REQUIRE(lanes_of().started().has_value());
  }
  caf::actor_system& system() { return *system_; }
  lane_scheduler& lanes_of() { return lane_scheduler::of(*system_); }
  template <class T, class... Ts>
  caf::actor spawn_on(std::size_t number, Ts&&... arguments) {
    return lanes_of().spawn_on<T>(number, std::forward<Ts>(arguments)...);
  }

 private:
  caf::actor_system_config config_;
  std::optional<caf::actor_system> system_;
};

/// What actors of a story count together.
struct tally {
  std::atomic<std::uint64_t> on_lane{0};
  std::atomic<std::uint64_t> on_stock{0};
  std::atomic<std::uint64_t> answers{0};
  std::atomic<std::uint64_t> strays{0}; ///< handlers that ran on a thread not theirs
  std::atomic<std::uint64_t> destroyed{0};
  std::atomic<std::uint64_t> exits{0};
};

using count_atom = caf::atom_constant<caf::atom("count")>;
using ask_atom = caf::atom_constant<caf::atom("ask")>;
using pass_atom = caf::atom_constant<caf::atom("pass")>;
using later_atom = caf::atom_constant<caf::atom("later")>;

template <class Base>
class clerk final : public Base {
 public:
  clerk(caf::actor_config& config, tally& counts) : Base(config), counts_(counts) {}
  ~clerk() override { ++counts_.destroyed; }

  caf::behavior make_behavior() override {
    note();
    return {
        [this](count_atom) {
          note();
          ++counts_.on_lane;
        },
        [this](ask_atom, int number) {
          note();
          ++counts_.on_lane;
          return number + 1;
        },
        [this](pass_atom, const caf::actor& to) {
          note();
          this->send(to, count_atom::value);
        },
        [this](ask_atom, const caf::actor& whom, int number) {
          note();
          this->request(whom, caf::infinite, ask_atom::value, number)
              .then([this, number](int answer) {
                note();
                if (answer == number + 1)
                  ++counts_.answers;
              });
        },
        [this](later_atom) {
          note();
          this->delayed_send(this, milliseconds{3}, count_atom::value);
        },
    };
  }
  void on_exit() override { ++counts_.exits; }

 private:
  void note() {
    if (lane::current() != &this->home_lane())
      ++counts_.strays;
  }
  tally& counts_;
};

using lane_clerk = clerk<lane_actor<>>;
using resident_clerk = clerk<resident_actor<>>;

caf::behavior stock_clerk(caf::event_based_actor* self, tally* counts) {
  const auto note = [counts] {
    if (lane::current() != nullptr)
      ++counts->strays;
  };
  return {
      [=](count_atom) {
        note();
        ++counts->on_stock;
      },
      [=](ask_atom, int number) {
        note();
        ++counts->on_stock;
        return number + 1;
      },
      [=](pass_atom, const caf::actor& to) {
        note();
        self->send(to, count_atom::value);
      },
      [=](ask_atom, const caf::actor& whom, int number) {
        note();
        self->request(whom, caf::infinite, ask_atom::value, number).then([=](int answer) {
          note();
          if (answer == number + 1)
            ++counts->answers;
        });
      },
  };
}

} // namespace

TEST_CASE("actors run where they belong, whoever sends", "[lane][caf]") {
  const bool with_uring = GENERATE(false, true);
  CAPTURE(with_uring);
  tally counts;
  {
    bench it{2, with_uring};
    std::vector<caf::actor> bound{
        it.spawn_on<lane_clerk>(0, std::ref(counts)),
        it.spawn_on<lane_clerk>(1, std::ref(counts)),
        it.spawn_on<resident_clerk>(0, std::ref(counts)),
        it.spawn_on<resident_clerk>(1, std::ref(counts)),
    };
    std::vector<caf::actor> stock{it.system().spawn(stock_clerk, &counts),
                                  it.system().spawn(stock_clerk, &counts)};
    wire::test::random_source random{"lane placement"};
    std::uint64_t lane_expected = 0;
    std::uint64_t stock_expected = 0;
    std::uint64_t answers_expected = 0;
    const auto any = [&]() -> std::pair<caf::actor, bool> {
      const auto at = random.up_to(bound.size() + stock.size() - 1);
      return at < bound.size() ? std::pair{bound[at], true}
                               : std::pair{stock[at - bound.size()], false};
    };
    for (int i = 0; i < 20'000; ++i) {
      const auto [first, first_bound] = any();
      const auto [second, second_bound] = any();
      switch (random.up_to(2)) {
      case 0:
        caf::anon_send(first, count_atom::value);
        ++(first_bound ? lane_expected : stock_expected);
        break;
      case 1:
        caf::anon_send(first, pass_atom::value, second);
        ++(second_bound ? lane_expected : stock_expected);
        break;
      default:
        if (first == second)
          break;
        caf::anon_send(first, ask_atom::value, second, i);
        ++(second_bound ? lane_expected : stock_expected);
        ++answers_expected;
      }
      if (i % 100 == 0 && first_bound) {
        caf::anon_send(first, later_atom::value);
        ++lane_expected;
      }
    }
    caf::scoped_actor self{it.system()};
    for (const auto& each : bound)
      self->request(each, std::chrono::seconds{20}, ask_atom::value, 41)
          .receive([&](int answer) { CHECK(answer == 42); },
                   [&](const caf::error&) { FAIL("no answer"); });
    lane_expected += bound.size();
    CHECK(await([&] { return counts.on_lane == lane_expected; }));
    CHECK(await([&] { return counts.on_stock == stock_expected; }));
    CHECK(await([&] { return counts.answers == answers_expected; }));
    CHECK(counts.on_lane == lane_expected);
    CHECK(counts.on_stock == stock_expected);
  }
  CHECK(counts.strays == 0);
  CHECK(counts.destroyed == 4);
}

TEST_CASE("a lane actor that quits is gone", "[lane][caf]") {
  tally counts;
  bench it{1, true};
  auto resident = it.spawn_on<resident_clerk>(0, std::ref(counts));
  auto bound = it.spawn_on<lane_clerk>(0, std::ref(counts));
  for (int i = 0; i < 1000; ++i) {
    caf::anon_send(resident, count_atom::value);
    caf::anon_send(bound, count_atom::value);
  }
  REQUIRE(await([&] { return counts.on_lane == 2000; }));
  caf::anon_send_exit(resident, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(bound, caf::exit_reason::user_shutdown);
  REQUIRE(await([&] { return counts.exits == 2; }));
  for (int i = 0; i < 100; ++i) {
    caf::anon_send(resident, count_atom::value); // to nobody
    caf::anon_send(bound, count_atom::value);
  }
  resident = nullptr;
  bound = nullptr;
  CHECK(await([&] { return counts.destroyed == 2; }));
  CHECK(counts.on_lane == 2000);
}

namespace {

/// Runs a story on a lane's thread.
class stage final : public lane_actor<> {
 public:
  using story = std::function<void(lane&)>;
  stage(caf::actor_config& config, story what) : lane_actor<>(config), story_(std::move(what)) {}
  caf::behavior make_behavior() override {
    story_(home_lane());
    return {[](count_atom) {}};
  }

 private:
  story story_;
};

struct alarm final : lane_timer {
  void expired(std::uint64_t now_ns) override {
    times.push_back(now_ns);
    if (order != nullptr)
      order->push_back(name);
    if (then)
      then(now_ns);
    ++count;
  }
  int name = 0;
  std::vector<int>* order = nullptr;
  std::vector<std::uint64_t> times;
  std::function<void(std::uint64_t)> then;
  std::atomic<int> count{0};
};

} // namespace

TEST_CASE("timers expire in order, once per arming, and never when forgotten", "[lane][caf]") {
  const bool with_uring = GENERATE(false, true);
  CAPTURE(with_uring);
  std::vector<int> order;
  std::deque<alarm> alarms(6);
  for (std::size_t i = 0; i < alarms.size(); ++i) {
    alarms[i].name = static_cast<int>(i);
    alarms[i].order = &order;
  }
  std::uint64_t began = 0;
  {
    bench it{1, with_uring};
    const stage::story arm = [&](lane& home) {
      began = home.time().steady_ns();
      home.arm(alarms[0], began + 60 * ms_in_ns);
      home.arm(alarms[1], began + 20 * ms_in_ns);
      home.arm(alarms[2], began + 40 * ms_in_ns);
      home.arm(alarms[3], began + 10 * ms_in_ns); // disarmed
      home.disarm(alarms[3]);
      home.arm(alarms[4], began + 10 * ms_in_ns); // forgotten, then armed for the same time
      home.forget(alarms[4]);
      home.arm(alarms[4], began + 10 * ms_in_ns);
      home.arm(alarms[5], began + 5 * ms_in_ns); // armed anew: the later time counts
      for (int i = 0; i < 1000; ++i)
        home.arm(alarms[5], began + 80 * ms_in_ns); // and costs no memory
      alarms[1].then = [&](std::uint64_t now) {
        if (alarms[1].count == 0)
          home.arm(alarms[1], now + 30 * ms_in_ns); // from within
      };
    };
    const auto actor = it.spawn_on<stage>(0, arm);
    REQUIRE(await([&] { return alarms[5].count == 1; }));
    std::this_thread::sleep_for(milliseconds{20});
  }
  CHECK(order == std::vector<int>{4, 1, 2, 1, 0, 5});
  CHECK(alarms[3].count == 0);
  CHECK(alarms[5].times.front() >= began + 80 * ms_in_ns);
  CHECK(alarms[0].times.front() >= began + 60 * ms_in_ns);
  CHECK(alarms[0].times.front() < began + 2 * s_in_ns);
}

namespace {

template <class Base>
class echo final : public Base {
 public:
  echo(caf::actor_config& config, std::atomic<int>& heard) : Base(config), heard_(heard) {}
  caf::behavior make_behavior() override {
    return {[this](int number) { heard_.store(number, std::memory_order_release); }};
  }

 private:
  std::atomic<int>& heard_;
};

} // namespace

TEST_CASE("a parked lane misses no wake-up", "[lane][caf]") {
  const bool with_uring = GENERATE(false, true);
  const bool resident = GENERATE(false, true);
  CAPTURE(with_uring, resident);
  constexpr int rounds = 25'000;
  std::atomic<int> heard{0};
  bench it{1, with_uring};
  const auto actor = resident ? it.spawn_on<echo<resident_actor<>>>(0, std::ref(heard))
                              : it.spawn_on<echo<lane_actor<>>>(0, std::ref(heard));
  wire::test::random_source random{"lane ping-pong"};
  auto longest = steady::duration::zero();
  const auto began = steady::now();
  for (int i = 1; i <= rounds; ++i) {
    // Around the time after which an idle lane parks, so that the two cross.
    const auto pause = std::chrono::nanoseconds{random.up_to(i % 4 == 0 ? 60'000 : 1'000)};
    for (const auto end = steady::now() + pause; steady::now() < end;) {
    }
    const auto sent = steady::now();
    caf::anon_send(actor, i);
    while (heard.load(std::memory_order_acquire) != i) {
      if (steady::now() - sent > std::chrono::seconds{10})
        break;
      std::this_thread::yield();
    }
    REQUIRE(heard == i);
    longest = std::max(longest, steady::now() - sent);
  }
  CHECK(it.lanes_of().at(0).parks() > 0);
  // A lost wake-up lasts until the lane looks up by itself, half a second later.
  CHECK(std::chrono::duration_cast<milliseconds>(longest).count() < 480);
  CHECK(std::chrono::duration_cast<std::chrono::seconds>(steady::now() - began).count() < 60);
}

// -- owned messages --------------------------------------------------------------------------

namespace {

using parcels = message_pool<parcel>;

class keeper final : public resident_actor<> {
 public:
  struct shelf {
    std::vector<message_ref<parcel>> kept; ///< the lane's
    std::atomic<std::uint64_t> count{0};
    std::atomic<bool> keep{true};
    std::atomic<bool> let_go{false};
    std::atomic<bool> blocked{false};
    std::atomic<bool> in_handler{false};
    std::atomic<int> destroyed{0};
  };
  keeper(caf::actor_config& config, shelf& where) : resident_actor<>(config), shelf_(where) {}
  ~keeper() override { ++shelf_.destroyed; }
  caf::behavior make_behavior() override {
    set_default_handler(caf::drop);
    return {
        [this](message_ref<parcel>& message) {
          shelf_.in_handler = true;
          while (shelf_.blocked)
            std::this_thread::yield();
          if (shelf_.keep)
            shelf_.kept.push_back(std::move(message));
          ++shelf_.count;
        },
        [this](count_atom) { shelf_.kept.clear(); },
        [this](const caf::actor& friendly) { friend_ = friendly; },
    };
  }
  void on_exit() override { friend_ = nullptr; }

 private:
  shelf& shelf_;
  caf::actor friend_;
};

std::size_t takeable(parcels& pool) {
  std::vector<message_ref<parcel>> taken;
  while (auto message = pool.take())
    taken.push_back(std::move(message));
  return taken.size();
}

std::unique_ptr<buffer_pool> buffers(std::uint32_t count) {
  return buffer_pool::make({.count = count, .buffer_bytes = 4096, .huge_pages = false}).value();
}

} // namespace

TEST_CASE("a pool of messages tells which share of them is under way") {
  parcels pool{4};
  CHECK(pool.under_way() == 0);
  auto one = pool.take();
  auto two = pool.take();
  CHECK(pool.under_way() == 0.5);
  one.reset();
  CHECK(pool.under_way() == 0.25);
  two.reset();
  CHECK(pool.under_way() == 0);
  CHECK(parcels{0}.under_way() == 0);
}

TEST_CASE("an owned message may be kept, and returns when let go", "[lane][caf]") {
  auto memory = buffers(8);
  parcels pool{8};
  keeper::shelf shelf;
  {
    bench it{1, true};
    auto actor = it.spawn_on<keeper>(0, std::ref(shelf));
    for (std::uint64_t i = 0; i < 8; ++i) {
      auto message = pool.take();
      REQUIRE(message);
      message->buffer = memory->take();
      message->number = i;
      pool.send(actor, std::move(message), nullptr);
    }
    REQUIRE(await([&] { return shelf.count == 8; }));
    CHECK(memory->lent() == 8);
    CHECK_FALSE(pool.take());
    for (std::uint64_t i = 0; i < 8; ++i)
      CHECK(shelf.kept[i]->number == i);
    caf::anon_send(actor, count_atom::value);
    REQUIRE(await([&] { return memory->lent() == 0; }));
    REQUIRE(await([&] { return takeable(pool) == 8; }));

    SECTION("dropped by the receiver without being kept") {
      shelf.keep = false;
      for (int i = 0; i < 8; ++i) {
        auto message = pool.take();
        message->buffer = memory->take();
        pool.send(actor, std::move(message), nullptr);
      }
      REQUIRE(await([&] { return shelf.count == 16 && memory->lent() == 0; }));
    }
    SECTION("sent to a receiver that has gone") {
      caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
      for (int round = 0; round < 100; ++round) {
        auto message = pool.take();
        REQUIRE(message);
        message->buffer = memory->take();
        pool.send(actor, std::move(message), nullptr);
        REQUIRE(await([&] { return memory->lent() == 0; }));
        shelf.kept.clear();
      }
    }
    SECTION("taken and never sent") {
      auto message = pool.take();
      message->buffer = memory->take();
      message.reset();
      CHECK(memory->lent() == 0);
    }
  }
  CHECK(takeable(pool) == 8);
}

TEST_CASE("a dry pool of messages calls when one is back", "[lane][caf]") {
  auto memory = buffers(2);
  parcels pool{2};
  std::atomic<int> calls{0};
  pool.on_return([](void* count) { ++*static_cast<std::atomic<int>*>(count); }, &calls);
  keeper::shelf shelf;
  bench it{1, false};
  auto actor = it.spawn_on<keeper>(0, std::ref(shelf));
  for (int i = 0; i < 2; ++i)
    pool.send(actor, pool.take(), nullptr);
  REQUIRE(await([&] { return shelf.count == 2; }));
  CHECK(calls == 0); // nobody has asked in vain yet
  CHECK_FALSE(pool.take());
  caf::anon_send(actor, count_atom::value);
  REQUIRE(await([&] { return calls == 1; }));
  CHECK(takeable(pool) == 2);
}

TEST_CASE("shutdown returns what is queued, kept and under way", "[lane][caf]") {
  const bool with_uring = GENERATE(false, true);
  CAPTURE(with_uring);
  constexpr std::uint32_t count = 64;
  auto memory = buffers(count);
  parcels pool{count};
  std::array<keeper::shelf, 2> shelves;
  tally counts;
  {
    bench it{2, with_uring};
    std::array<caf::actor, 2> actors{it.spawn_on<keeper>(0, std::ref(shelves[0])),
                                     it.spawn_on<keeper>(1, std::ref(shelves[1]))};
    caf::anon_send(actors[0], actors[1]); // neighbours know each other
    caf::anon_send(actors[1], actors[0]);
    const auto bound = it.spawn_on<lane_clerk>(0, std::ref(counts));
    for (std::uint32_t i = 0; i < count; ++i) {
      auto message = pool.take();
      message->buffer = memory->take();
      pool.send(actors[i % 2], std::move(message), nullptr);
      if (i == 20)
        REQUIRE(await([&] { return shelves[0].count > 5 && shelves[1].count > 5; }));
      if (i == 21)
        shelves[1].blocked = true; // what follows stays in this mailbox
    }
    for (int i = 0; i < 100; ++i)
      caf::anon_send(bound, count_atom::value);
    REQUIRE(await([&] { return shelves[1].in_handler.load(); }));
    shelves[1].blocked = false;
  }
  CHECK(shelves[0].destroyed == 1);
  CHECK(shelves[1].destroyed == 1);
  CHECK(counts.destroyed == 1);
  shelves[0].kept.clear();
  shelves[1].kept.clear();
  CHECK(memory->lent() == 0);
  CHECK(takeable(pool) == count);
}

namespace {

/// Sends parcels as long as its pools give any, until it has sent its share.
class source final : public resident_actor<> {
 public:
  struct order {
    parcels* pool = nullptr;
    buffer_pool* memory = nullptr;
    caf::actor to;
    std::atomic<std::uint64_t> allowed{0};
    std::uint64_t sent = 0;
    std::atomic<bool> fed{false};
  };
  source(caf::actor_config& config, order& what) : resident_actor<>(config), order_(what) {}
  ~source() override { // the pools outlive it
    order_.pool->on_return(nullptr, nullptr);
    order_.memory->on_return(nullptr, nullptr);
  }
  caf::behavior make_behavior() override {
    order_.pool->on_return(&source::feed, this);
    order_.memory->on_return(&source::feed, this);
    return {[this](count_atom) {
      test::count_allocations_of_this_thread();
      order_.fed = true;
    }};
  }
  bool ready() const override { return resident_actor<>::ready() || order_.fed; }
  bool poll() override {
    const auto got = take_messages();
    if (got == mail::ended)
      return true;
    if (!order_.fed.exchange(false))
      return got == mail::some;
    while (order_.sent < order_.allowed.load()) {
      auto message = order_.pool->take();
      if (!message)
        return true;
      message->buffer = order_.memory->take();
      if (!message->buffer)
        return true;
      message->number = order_.sent++;
      order_.pool->send(order_.to, std::move(message), context());
    }
    return true;
  }

 private:
  static void feed(void* self) {
    auto* actor = static_cast<source*>(self);
    actor->order_.fed = true;
    actor->home_lane().notify();
  }
  order& order_;
};

class sink final : public resident_actor<> {
 public:
  sink(caf::actor_config& config, std::atomic<std::uint64_t>& count, std::atomic<bool>& in_order)
      : resident_actor<>(config), count_(count), in_order_(in_order) {}
  caf::behavior make_behavior() override {
    return {[this](message_ref<parcel>& message) {
      if (message->number != count_.load(std::memory_order_relaxed))
        in_order_ = false;
      message.reset();
      if (++count_ == 1)
        test::count_allocations_of_this_thread();
    }};
  }

 private:
  std::atomic<std::uint64_t>& count_;
  std::atomic<bool>& in_order_;
};

} // namespace

TEST_CASE("a steady stream of owned messages allocates nothing", "[lane][caf]") {
  const std::size_t lanes = GENERATE(1, 2);
  CAPTURE(lanes);
  auto memory = buffers(16);
  parcels pool{32};
  source::order order;
  std::atomic<std::uint64_t> received{0};
  std::atomic<bool> in_order{true};
  {
    bench it{lanes, true};
    order.pool = &pool;
    order.memory = memory.get();
    order.to = it.spawn_on<sink>(lanes - 1, std::ref(received), std::ref(in_order));
    order.allowed = 2'000;
    const auto from = it.spawn_on<source>(0, std::ref(order));
    caf::anon_send(from, count_atom::value);
    REQUIRE(await([&] { return received == 2'000; })); // everything has its size now
    order.allowed = 200'000;
    // The message that lets it go on was made before the counting begins.
    order.fed = true;
    const test::allocation_count count;
    it.lanes_of().at(0).notify();
    const bool whole = await([&] { return received == 200'000; });
    const auto made = count.so_far();
    CHECK(whole);
    CHECK(received == 200'000);
    CHECK(made == 0);
    CHECK(in_order);
    order.to = nullptr;
  }
  CHECK(memory->lent() == 0);
  CHECK(takeable(pool) == 32);
}

} // namespace lance::runtime

#endif
