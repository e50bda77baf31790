#include "tests/sim/cluster_world.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>

#include "tests/sim/checkers/replication.hpp"
#include "tests/sim/event_loop.hpp"
#include "tests/sim/model_member.hpp"
#include "tests/sim/random_stream.hpp"
#include "tests/sim/real_member.hpp"
#include "tests/sim/sim_network.hpp"

namespace lance::sim {

using namespace cluster;

namespace {

// The streams of random numbers of one seed.
enum concern : std::uint64_t { shape = 100, story, harm, chance, lines, disks, traffic };

constexpr std::uint64_t nodes_max = 7;
// Batches that clients have on their way to one leader: what is not acknowledged is bounded.
constexpr std::size_t waiting_max = 500;

struct waiting_batch {
  batch_number number;
  std::uint64_t id = 0;
};

// One log's member on one node, and who waits for it.
struct slot {
  std::unique_ptr<sim_member> member;
  model_member* model = nullptr; // one of
  real_member* real = nullptr;   // these
  bool flushing = false;
  bool reading = false;
  std::deque<waiting_batch> waiting;
  std::uint64_t leads_since = 0;  // by the node's clock
  std::optional<ack_points> acks; // of the outputs of the input under way
  std::map<std::uint64_t, batch_number> reads;
  std::vector<read_answer> answered;
  bool settling = false;
};

// A node's clocks, for its storage.
class node_clock final : public runtime::clock {
 public:
  explicit node_clock(std::function<std::uint64_t()> steady) : steady_(std::move(steady)) {}
  [[nodiscard]] std::uint64_t wall_ns() const noexcept override {
    return steady_() + 1'700'000'000'000'000'000;
  }
  [[nodiscard]] std::uint64_t steady_ns() const noexcept override { return steady_(); }

 private:
  std::function<std::uint64_t()> steady_;
};

struct cluster_node {
  node_id id;
  std::size_t at = 0;
  bool alive = true;
  std::uint64_t life = 0;     // events of an earlier one do not happen
  std::uint64_t rate = 1'000; // of its clock, per thousand
  std::int64_t offset_ns = 0;
  std::uint64_t latest_ns = 0; // its clock, never going back
  std::uint64_t slow_until = 0;
  std::optional<std::uint64_t> die_in;        // deeds
  std::map<std::size_t, std::uint64_t> heard; // node to the own clock
  std::vector<slot> logs;
  // with a disk
  std::unique_ptr<node_clock> clock;
  std::unique_ptr<real_machine> machine;
  std::unique_ptr<real_process> process;
};

struct log_state {
  log_id id;
  ack_mode mode = ack_mode::l2;
  std::unique_ptr<replication_checker> promises;
  std::unique_ptr<batch_registry> registry;
};

class cluster_world {
 public:
  explicit cluster_world(const cluster_run& how);
  cluster_report run();

 private:
  void choose_options();
  void make_nodes();
  void make_member(cluster_node& node, std::size_t log, const membership& members);

  [[nodiscard]] std::uint64_t time_of(cluster_node& node);
  [[nodiscard]] moment now(cluster_node& node);
  template <class Input>
  void act(cluster_node& node, std::size_t log, Input input);
  void saw(cluster_node& node, std::size_t log, const raft_output& out);
  void count(const raft_output& out, const slot& one);
  void settle_clients(cluster_node& node, std::size_t log);
  void use_disk(cluster_node& node, std::size_t log);
  void settle_soon(cluster_node& node, std::size_t log);
  void after(cluster_node& node, std::uint64_t delay_ns, std::function<void()> what);
  void send(cluster_node& node, std::size_t log, letter one);
  void tick(cluster_node& node);
  void judge_contact(const cluster_node& node, std::size_t log);
  void judge_window(const cluster_node& node, std::size_t log);

  void start(cluster_node& node);
  void crash(cluster_node& node, bool power);
  void crash(cluster_node& node) { crash(node, harm_.coin()); }
  [[nodiscard]] std::string describe(std::size_t log) const;
  void judge_files(std::size_t log, const cluster_node& leader);
  void client_deed();
  void read(cluster_node& node, std::size_t log);
  void ask_something(cluster_node& node, std::size_t log);
  void some_harm();
  void harm_lines();
  void harm_node(cluster_node& node);
  void harm_disk(cluster_node& node);
  void restart_all();
  void run_until(std::uint64_t end_ns, const std::function<bool()>& done);
  void end_well();
  [[nodiscard]] cluster_node* leader_of(std::size_t log);
  [[nodiscard]] cluster_node& any() { return nodes_[harm_.below(nodes_.size())]; }

  const cluster_run how_;
  cluster_report report_;
  trace told_;
  event_loop loop_{told_};
  violations broken_;
  random_stream shape_, story_, harm_, chance_, disks_, traffic_;
  fault_counts disk_faults_;
  raft_options options_;
  std::vector<log_state> logs_;
  std::vector<cluster_node> nodes_;
  std::unique_ptr<sim_network> network_;
  std::uint64_t next_id_ = 1;
  std::uint64_t pause_ns_ = 0;
  bool quiet_ = false;
};

cluster_world::cluster_world(const cluster_run& how)
    : how_(how), shape_(how.seed, concern::shape), story_(how.seed, concern::story),
      harm_(how.seed, concern::harm), chance_(how.seed, concern::chance),
      disks_(how.seed, concern::disks), traffic_(how.seed, concern::traffic) {
  report_.seed = how.seed;
  told_.print = how.print;
  choose_options();
  make_nodes();
}

// Small windows and tails, so that everything that can happen happens often.
void cluster_world::choose_options() {
  options_.election_ns = 150 * ms_in_ns;
  options_.heartbeat_ns = 20 * ms_in_ns;
  options_.resend_ns = 60 * ms_in_ns;
  options_.append_bytes = shape_.between(100, 2000);
  options_.window_bytes = shape_.between(200, 4000);
  options_.window_appends = static_cast<std::uint32_t>(shape_.between(1, 8));
  options_.tail_runs = static_cast<std::uint32_t>(shape_.between(1, 12));
  options_.evict_ns = 8 * ms_in_ns;
  options_.demote_after_ns = 300 * ms_in_ns;
  options_.promote_batches = 4;
  options_.reads_max = 16;
  pause_ns_ = shape_.between(1, 10) * ms_in_ns;
}

void cluster_world::make_nodes() {
  constexpr std::uint64_t sizes[] = {1, 2, 3, 3, 3, 3, 4, 4, 5, 5, 5, 6, 7};
  const auto count = shape_.pick(sizes);
  network_ = std::make_unique<sim_network>(
      count, loop_, random_stream{report_.seed, concern::lines}, report_.counts);
  nodes_.resize(count);
  const bool wild = shape_.coin(); // clocks; at the edge of what beats and elections bear
  for (std::size_t i = 0; i < count; ++i) {
    nodes_[i].id = node_id{static_cast<std::uint16_t>(i + 1)};
    nodes_[i].at = i;
    nodes_[i].rate = wild ? shape_.between(500, 2000) : shape_.between(800, 1250);
    if (how_.disks) {
      nodes_[i].clock = std::make_unique<node_clock>([this, i] { return time_of(nodes_[i]); });
      nodes_[i].machine = std::make_unique<real_machine>(report_.seed * nodes_max + i, shape_,
                                                         loop_, told_, disk_faults_);
    }
  }
  // Mostly few logs, whose members then meet often; now and then as many as a node has.
  const auto logs =
      !how_.disks && shape_.below(64) == 0 ? shape_.between(3, 50) : shape_.between(1, 2);
  for (std::uint32_t log = 0; log < logs; ++log) {
    log_state one{log_id{log + 1}, shape_.below(4) == 0 ? ack_mode::l1 : ack_mode::l2, nullptr,
                  nullptr};
    one.promises = std::make_unique<replication_checker>(one.id, broken_);
    one.registry = std::make_unique<batch_registry>(one.id, broken_);
    logs_.push_back(std::move(one));
    membership members;
    const auto voters = shape_.below(3) == 0 ? shape_.between(1, count) : count;
    for (std::size_t i = 0; i < voters; ++i)
      members.voters.push_back(nodes_[i].id);
    for (auto& node : nodes_)
      make_member(node, log, members);
  }
  for (auto& node : nodes_)
    start(node);
}

void cluster_world::make_member(cluster_node& node, std::size_t log, const membership& members) {
  sim_member::hooks hooks;
  hooks.send = [this, &node, log](letter one) { send(node, log, std::move(one)); };
  hooks.saw = [this, &node, log](const raft_output& out) { saw(node, log, out); };
  hooks.survives = [&node](deed) { return !node.die_in || (*node.die_in)-- != 0; };
  hooks.started_over = [this, &node, log] { logs_[log].promises->started(node.id); };
  hooks.wake = [this, &node, log] { settle_soon(node, log); };
  slot made;
  if (how_.disks) {
    auto real = std::make_unique<real_member>(node.id, logs_[log].id, options_, members,
                                              std::move(hooks), *logs_[log].registry,
                                              [&node]() -> real_process& { return *node.process; });
    made.real = real.get();
    made.member = std::move(real);
  } else {
    auto model =
        std::make_unique<model_member>(node.id, logs_[log].id, options_, members, std::move(hooks));
    made.model = model.get();
    made.member = std::move(model);
  }
  logs_[log].promises->add(*made.member);
  node.logs.push_back(std::move(made));
}

// -- inputs --------------------------------------------------------------------------------------

std::uint64_t cluster_world::time_of(cluster_node& node) {
  const auto run = static_cast<std::int64_t>(loop_.now_ns() / 1000 * node.rate) + node.offset_ns;
  const auto shown = static_cast<std::uint64_t>(std::max<std::int64_t>(run, 0));
  node.latest_ns = std::max(node.latest_ns, shown);
  return node.latest_ns; // a steady clock stands still rather
}

moment cluster_world::now(cluster_node& node) {
  const auto at = time_of(node);
  return {at, chance_.next()};
}

void cluster_world::after(cluster_node& node, std::uint64_t delay_ns, std::function<void()> what) {
  loop_.after(delay_ns, [&node, life = node.life, what = std::move(what)] {
    if (node.alive && node.life == life)
      what();
  });
}

template <class Input>
void cluster_world::act(cluster_node& node, std::size_t log, Input input) {
  auto& one = node.logs[log];
  if (broken_.any() || !node.alive)
    return;
  one.acks.reset();
  input(*one.member, now(node));
  if (one.member->dying() || (node.machine && node.machine->disk.dead())) {
    report_.counts.note(cluster_event::crashed_in_output);
    return crash(node);
  }
  if (!one.member->settled())
    return;
  const auto& core = one.member->core();
  told_.note("acted", {node.id.value, log, core.current_term().value,
                       static_cast<std::uint64_t>(core.now()), one.member->disk.end().value,
                       one.member->disk.durable_end.value, core.log().committed_end.value});
  logs_[log].promises->looked_at(*one.member);
  settle_clients(node, log);
  use_disk(node, log);
}

void cluster_world::saw(cluster_node& node, std::size_t log, const raft_output& out) {
  auto& one = node.logs[log];
  auto& promises = *logs_[log].promises;
  promises.wants(*one.member, out);
  count(out, one);
  if (out.changed) {
    // What waited for an earlier leadership will never be told.
    report_.counts.note(cluster_event::told_unknown, one.waiting.size());
    one.waiting.clear();
    one.acks.reset();
    if (out.changed->now == role::leader) {
      one.leads_since = node.latest_ns;
      promises.elected(node.id, out.changed->in_term);
    }
  }
  if (out.acks)
    one.acks = out.acks;
  one.answered.insert(one.answered.end(), out.reads.begin(), out.reads.end());
  if (one.member->core().now() == role::leader)
    judge_window(node, log);
}

void cluster_world::count(const raft_output& out, const slot& one) {
  auto& counts = report_.counts;
  if (out.changed && out.changed->now == role::leader)
    counts.note(cluster_event::elected);
  if (out.truncate_to)
    counts.note(cluster_event::truncated);
  if (out.begin_at)
    counts.note(cluster_event::rebased);
  for (const auto& each : out.events)
    if (each.what != follower_news::rebased)
      counts.note(each.what == follower_news::evicted ? cluster_event::evicted
                                                      : cluster_event::returned);
  for (const auto& each : out.events)
    told_.note("follower",
               {one.member->self().value, each.node.value, static_cast<std::uint64_t>(each.what)});
}

void cluster_world::settle_clients(cluster_node& node, std::size_t log) {
  auto& one = node.logs[log];
  auto& promises = *logs_[log].promises;
  if (one.acks) {
    const auto end = one.acks->end(logs_[log].mode);
    while (!one.waiting.empty() && one.waiting.front().number < end) {
      const auto done = one.waiting.front();
      one.waiting.pop_front();
      report_.counts.note(cluster_event::acknowledged);
      if (logs_[log].mode == ack_mode::l2)
        promises.acknowledged(*one.member, done.number, done.id);
    }
  }
  for (const auto& each : one.answered) {
    const auto asked = one.reads.extract(each.token);
    if (each.lost || asked.empty())
      continue;
    report_.counts.note(cluster_event::read_answered);
    promises.read_answered(asked.mapped(), each.committed_end);
  }
  one.answered.clear();
}

// One flush and one read at a time.
void cluster_world::use_disk(cluster_node& node, std::size_t log) {
  auto& one = node.logs[log];
  if (one.model == nullptr)
    return;
  if (!one.flushing && one.model->dirty()) {
    one.flushing = true;
    const bool slow = node.slow_until > loop_.now_ns();
    // Slow is slower than an eviction, and now and then than an election.
    const auto took = !slow                  ? disks_.between(50, 1500) * us_in_ns
                      : disks_.below(4) == 0 ? disks_.between(60, 600) * ms_in_ns
                                             : disks_.between(5, 60) * ms_in_ns;
    after(node, took, [this, &node, log, took, what = one.model->begin_flush()] {
      auto& here = node.logs[log];
      here.flushing = false;
      act(node, log, [&](sim_member&, moment at) { here.model->end_flush(at, what, took); });
    });
  }
  if (!one.reading && one.model->fetches()) {
    one.reading = true;
    after(node, disks_.between(50, 3000) * us_in_ns, [this, &node, log] {
      auto& here = node.logs[log];
      here.reading = false;
      act(node, log, [&](sim_member&, moment at) {
        if (!quiet_ && disks_.below(10) == 0) {
          report_.counts.note(cluster_event::fetch_failed);
          here.model->fail_fetch(at);
        } else {
          here.model->answer_fetch(at, disks_.between(1, 8), disks_.coin());
        }
      });
    });
  }
}

void cluster_world::settle_soon(cluster_node& node, std::size_t log) {
  if (std::exchange(node.logs[log].settling, true))
    return;
  after(node, disks_.between(1 * us_in_ns, 40 * us_in_ns), [this, &node, log] {
    node.logs[log].settling = false;
    act(node, log, [](sim_member& member, moment at) { member.settle(at); });
  });
}

void cluster_world::send(cluster_node& node, std::size_t log, letter one) {
  logs_[log].promises->says(*node.logs[log].member, one.what);
  const auto to = std::size_t{one.what.to.value} - 1;
  // Just after a vote is a good moment to die.
  if (const auto* vote = std::get_if<vote_reply>(&one.what.body);
      vote != nullptr && vote->granted && !vote->pre && !quiet_ && harm_.below(6) == 0)
    node.die_in = harm_.below(6);
  told_.note(name_of(one.what), {one.what.from.value, one.what.to.value, one.what.in_term.value});
  const auto shared = std::make_shared<const letter>(std::move(one));
  network_->send(node.at, to, [this, log, to, from = node.at, shared] {
    auto& other = nodes_[to];
    if (!other.alive)
      return;
    (void)now(other);
    other.heard[from] = other.latest_ns;
    act(other, log, [&](sim_member& member, moment at) { member.receive(at, *shared); });
  });
}

void cluster_world::tick(cluster_node& node) {
  for (std::size_t log = 0; log < logs_.size(); ++log) {
    act(node, log, [](sim_member& member, moment at) { member.tick(at); });
    if (!node.alive)
      return;
    judge_contact(node, log);
  }
  after(node, 4 * ms_in_ns + disks_.below(2 * ms_in_ns), [this, &node] { tick(node); });
}

// A leader that has heard no majority for two election times has stepped down.
void cluster_world::judge_contact(const cluster_node& node, std::size_t log) {
  const auto& core = node.logs[log].member->core();
  constexpr std::uint64_t times = 2;
  if (core.now() != role::leader ||
      node.latest_ns - node.logs[log].leads_since < times * options_.election_ns)
    return;
  std::size_t heard = 0;
  for (const auto voter : core.members().voters) {
    const auto at = node.heard.find(std::size_t{voter.value} - 1);
    if (voter == node.id ||
        (at != node.heard.end() && node.latest_ns - at->second < times * options_.election_ns))
      ++heard;
  }
  if (heard < core.members().majority())
    logs_[log].promises->report("a leader nobody answers steps down", node.id,
                                "leads on in term " + std::to_string(core.current_term().value));
}

void cluster_world::judge_window(const cluster_node& node, std::size_t log) {
  for (const auto& view : node.logs[log].member->core().followers()) {
    std::uint64_t bytes = 0;
    for (const auto& each : view.window)
      bytes += each.bytes;
    const bool over =
        view.window.size() > options_.window_appends + 1 ||
        (view.window.size() > options_.catch_up_appends + 1 && bytes > options_.window_bytes);
    if (over)
      logs_[log].promises->report("a follower gets no more than its window", node.id,
                                  std::to_string(bytes) + " bytes on the way");
  }
}

// -- lives ---------------------------------------------------------------------------------------

void cluster_world::start(cluster_node& node) {
  node.alive = true;
  ++node.life;
  node.die_in.reset();
  node.heard.clear();
  told_.note("start", {node.id.value});
  if (how_.disks) {
    node.process = std::make_unique<real_process>(*node.machine, loop_, *node.clock, disks_,
                                                  node.id, options_);
    for (auto& one : node.logs)
      one.real->lift_fence = quiet_ || harm_.coin();
  }
  for (std::size_t log = 0; log < logs_.size(); ++log) {
    auto& one = node.logs[log];
    one.flushing = one.reading = one.settling = false;
    one.waiting.clear();
    one.reads.clear();
    one.answered.clear();
    logs_[log].promises->started(node.id);
    if (!one.member->start(now(node)))
      return crash(node);
  }
  after(node, disks_.below(5 * ms_in_ns), [this, &node] { tick(node); });
}

void cluster_world::crash(cluster_node& node, bool power) {
  node.alive = false;
  ++node.life;
  told_.note("crash", {node.id.value});
  report_.counts.note(cluster_event::crashed);
  if (node.machine)
    node.machine->disk.cancel_reads();
  for (auto& one : node.logs) {
    if (one.real != nullptr) {
      one.member->crash(0);
      continue;
    }
    const auto had = one.member->disk.end();
    const auto loose = had.value - one.member->disk.durable_end.value;
    one.member->crash(harm_.coin() ? 0 : harm_.below(loose + 1));
    report_.counts.note(cluster_event::batches_lost, had.value - one.member->disk.end().value);
  }
  if (node.machine) {
    node.process.reset();
    if (power)
      node.machine->disk.crash();
    else
      node.machine->disk.kill();
  }
  // Often it is back before the others have noticed.
  if (quiet_ || harm_.coin())
    loop_.after(harm_.between(1, 15) * ms_in_ns, [this, &node, life = node.life] {
      if (!node.alive && node.life == life)
        start(node);
    });
}

// -- clients and operators -----------------------------------------------------------------------

void cluster_world::client_deed() {
  for (auto deeds = traffic_.between(1, 3); deeds > 0; --deeds) {
    auto& node = nodes_[traffic_.below(nodes_.size())];
    const auto log = traffic_.below(logs_.size());
    if (!node.alive)
      continue;
    if (!quiet_ && traffic_.below(40) == 0)
      ask_something(node, log);
    if (node.alive && traffic_.below(4) == 0)
      read(node, log);
    if (!node.alive || !node.logs[log].member->accepting() ||
        node.logs[log].waiting.size() >= waiting_max)
      continue;
    const auto id = next_id_++;
    const auto bytes = traffic_.between(50, how_.disks ? 3000 : 400);
    act(node, log, [&](sim_member& member, moment at) {
      // It waits before the answer can come.
      auto& waiting = node.logs[log].waiting;
      waiting.push_back({member.disk.end(), id});
      if (!member.propose(at, id, bytes) && !waiting.empty() && waiting.back().id == id)
        waiting.pop_back();
    });
  }
}

void cluster_world::read(cluster_node& node, std::size_t log) {
  auto& one = node.logs[log];
  act(node, log, [&](sim_member& member, moment at) {
    const auto token = next_id_++;
    one.reads[token] = logs_[log].promises->read_asked();
    if (!member.read(at, token))
      one.reads.erase(token);
  });
}

void cluster_world::ask_something(cluster_node& node, std::size_t log) {
  const auto other = nodes_[traffic_.below(nodes_.size())].id;
  const auto what = traffic_.below(10);
  act(node, log, [&](sim_member& member, moment at) {
    if (what < 4) {
      if (member.transfer(at, other))
        report_.counts.note(cluster_event::handed_over);
    } else {
      constexpr membership_step steps[] = {membership_step::add_learner, membership_step::promote,
                                           membership_step::promote, membership_step::demote,
                                           membership_step::remove};
      auto step = traffic_.pick(steps);
      auto about = other;
      // A voter that stays away becomes a learner.
      if (const auto due = member.core().demotion_due(at)) {
        step = membership_step::demote;
        about = *due;
      }
      if (member.change(at, step, about))
        report_.counts.note(cluster_event::members_changed);
    }
  });
}

// -- harm ----------------------------------------------------------------------------------------

void cluster_world::some_harm() {
  switch (harm_.below(8)) {
  case 0:
  case 1:
    return harm_lines();
  case 2:
  case 3:
    return harm_node(any());
  case 4:
  case 5:
    if (auto& node = any(); !node.alive)
      start(node);
    return;
  case 6:
    network_->heal();
    return;
  default:
    network_->loss = harm_.below(3) * harm_.below(150'000);
    network_->repeat = harm_.below(3) * harm_.below(150'000);
    network_->delay_ns = (harm_.below(4) == 0 ? 30 : 1) * harm_.between(100, 1500) * us_in_ns;
  }
}

void cluster_world::harm_lines() {
  auto& net = *network_;
  const auto count = net.nodes();
  const auto sides = harm_.next();
  const auto side = [&](std::size_t node) { return (sides >> node & 1) != 0; };
  const auto a = harm_.below(count);
  const auto b = harm_.below(count);
  switch (harm_.below(5)) {
  case 0: // two sides; with 1, a node that hears both
  case 1: {
    const bool bridge = harm_.coin();
    report_.counts.note(bridge ? cluster_event::bridged : cluster_event::partitioned);
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t j = 0; j < count; ++j)
        if (side(i) != side(j) && !(bridge && (i == a || j == a)))
          net.cut(i, j);
    return;
  }
  case 2: // alone
    report_.counts.note(cluster_event::partitioned);
    for (std::size_t i = 0; i < count; ++i) {
      net.cut(i, a);
      net.cut(a, i);
    }
    return;
  case 3: { // deaf, mute, or one line in one direction
    report_.counts.note(cluster_event::cut_one_way);
    const auto how = harm_.below(3);
    for (std::size_t i = 0; i < count; ++i) {
      if (how == 0)
        net.cut(i, a);
      if (how == 1)
        net.cut(a, i);
    }
    if (how == 2)
      net.cut(a, b);
    return;
  }
  default:
    report_.counts.note(cluster_event::link_slow);
    net.slow(a, b, harm_.between(5, 80) * ms_in_ns);
  }
}

void cluster_world::harm_node(cluster_node& node) {
  const auto log = harm_.below(logs_.size());
  switch (harm_.below(how_.disks ? 14 : 10)) {
  case 0:
    if (node.alive)
      crash(node);
    return;
  case 10:
  case 11:
  case 12:
  case 13:
    return harm_disk(node);
  case 1:
  case 2:
    if (node.alive)
      node.die_in = harm_.below(80); // in the middle of something
    return;
  case 3:
    if (harm_.below(4) == 0)
      return restart_all();
    if (harm_.below(6) == 0) {
      report_.counts.note(cluster_event::power_lost);
      for (auto& each : nodes_)
        if (each.alive)
          crash(each, true);
      for (auto& each : nodes_)
        start(each);
    }
    return;
  case 4:
  case 5:
    report_.counts.note(cluster_event::disk_slow);
    node.slow_until = loop_.now_ns() + harm_.between(20, 800) * ms_in_ns;
    if (node.machine)
      node.machine->disk.rates.slow = harm_.between(1'000, 100'000);
    return;
  case 6:
    report_.counts.note(cluster_event::clock_jumped);
    node.offset_ns += static_cast<std::int64_t>(harm_.below(600 * ms_in_ns)) -
                      static_cast<std::int64_t>(200 * ms_in_ns);
    return;
  case 7:
    if (node.alive) {
      const bool fit = harm_.below(3) != 0;
      if (!fit)
        report_.counts.note(cluster_event::log_unfit);
      act(node, log, [&](sim_member& member, moment at) { member.set_fit(at, fit); });
    }
    return;
  default:
    if (node.alive) {
      const auto start = node.logs[log].member->disk.start.value;
      const auto end = node.logs[log].member->core().log().committed_end.value;
      if (end > start)
        act(node, log, [&](sim_member& member, moment at) {
          if (member.trim(at, batch_number{start + harm_.below(end - start + 1)}))
            report_.counts.note(cluster_event::trimmed);
        });
    }
  }
}

// One after the other, as an upgrade does it; the next one not before the last one is back.
void cluster_world::restart_all() {
  report_.counts.note(cluster_event::rolled);
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    loop_.after((i + 1) * harm_.between(20, 200) * ms_in_ns, [this, &node = nodes_[i]] {
      if (quiet_ || broken_.any())
        return;
      if (node.alive)
        crash(node, false);
      start(node);
    });
}

// The disk's own moods, for a while; and a death in the middle of one of its deeds.
void cluster_world::harm_disk(cluster_node& node) {
  auto& disk = node.machine->disk;
  disk.rates = {};
  disk.capacity = ~std::uint64_t{0};
  switch (harm_.below(8)) {
  case 0:
    disk.rates.flush_failed = harm_.between(2'000, 100'000);
    return;
  case 1:
    disk.rates.write_failed = harm_.between(2'000, 100'000);
    return;
  case 2:
    disk.rates.read_failed = harm_.between(1'000, 200'000);
    return;
  case 3:
    disk.rates.cold_failed = harm_.between(1'000, 50'000);
    return;
  case 4:
    disk.capacity = disk.used() + harm_.below(100 * KiB);
    return;
  case 5:
  case 6:
    if (node.alive)
      disk.die_in(harm_.below(60));
    return;
  default:
    return;
  }
}

// -- a history -----------------------------------------------------------------------------------

void cluster_world::run_until(std::uint64_t end_ns, const std::function<bool()>& done) {
  while (!broken_.any() && !done() && loop_.now_ns() < end_ns && loop_.step()) {
  }
}

cluster_node* cluster_world::leader_of(std::size_t log) {
  cluster_node* found = nullptr;
  for (auto& node : nodes_) {
    if (!node.alive || node.logs[log].member->core().now() != role::leader)
      continue;
    const auto term_of = [&](const cluster_node& one) {
      return one.logs[log].member->core().current_term();
    };
    if (found == nullptr || term_of(node) > term_of(*found))
      found = &node;
  }
  return found;
}

cluster_report cluster_world::run() {
  std::function<void()> clients = [&] {
    client_deed();
    loop_.after(traffic_.between(1, pause_ns_), clients);
  };
  std::function<void()> trouble = [&] {
    if (quiet_)
      return;
    some_harm();
    loop_.after(harm_.between(2, 40) * ms_in_ns, trouble);
  };
  loop_.after(1, clients);
  loop_.after(story_.between(50, 400) * ms_in_ns, trouble);
  const bool few =
      logs_.size() <= 2; // many logs for hours show what few do, at fifty times the cost
  const auto span = how_.span_ns != 0 && few ? how_.span_ns : story_.between(2, 5) * s_in_ns;
  run_until(loop_.now_ns() + span, [] { return false; });
  end_well();
  report_.hash = told_.hash();
  report_.events = told_.events();
  report_.simulated_ns = loop_.now_ns();
  for (const auto& each : logs_)
    report_.committed += each.promises->committed();
  report_.disk_faults = disk_faults_;
  report_.violation = broken_.first();
  for (auto& node : nodes_)
    if (node.alive && node.machine) {
      node.machine->disk.die();
      crash(node, false);
    }
  return report_;
}

// Everything heals: each log has a leader, takes batches, and is the same everywhere.
void cluster_world::end_well() {
  if (broken_.any())
    return;
  quiet_ = true;
  network_->heal();
  network_->loss = network_->repeat = 0;
  network_->delay_ns = 500 * us_in_ns;
  told_.note("quiet", {});
  for (auto& node : nodes_) {
    node.slow_until = 0;
    if (node.machine) {
      node.machine->disk.rates = {};
      node.machine->disk.capacity = ~std::uint64_t{0};
      if (node.alive) // operators lift fences, and a process that could not write votes goes
        crash(node);
    }
    if (!node.alive)
      start(node);
    node.die_in.reset();
    for (std::size_t log = 0; log < logs_.size(); ++log)
      act(node, log, [&](sim_member& member, moment at) { member.set_fit(at, true); });
  }
  // Twenty election times are enough for any clock and any split vote.
  run_until(loop_.now_ns() + 20 * options_.election_ns, [] { return false; });
  for (std::size_t log = 0; log < logs_.size() && !broken_.any(); ++log) {
    auto* leader = leader_of(log);
    if (leader == nullptr)
      return logs_[log].promises->report("a healthy cluster has a leader", node_id{}, "has none");
    const auto before = logs_[log].promises->committed();
    run_until(loop_.now_ns() + logs_.size() * s_in_ns, // they share the clients
              [&] { return logs_[log].promises->committed() > before + 3; });
    if (!broken_.any() && logs_[log].promises->committed() <= before + 3)
      return logs_[log].promises->report("a healthy cluster goes on", leader->id,
                                         "commits nothing: " + describe(log));
  }
  pause_ns_ = 100 * s_in_ns; // clients stop
  // Who was away for long reads a few batches at a time.
  std::uint64_t behind = 0;
  for (const auto& node : nodes_)
    for (std::size_t log = 0; log < logs_.size(); ++log)
      behind = std::max(behind, logs_[log].promises->committed() -
                                    std::min(logs_[log].promises->committed(),
                                             node.logs[log].member->disk.end().value));
  run_until(loop_.now_ns() + 20 * options_.election_ns + behind * 8 * ms_in_ns,
            [] { return false; });
  for (std::size_t log = 0; log < logs_.size() && !broken_.any(); ++log) {
    auto* leader = leader_of(log);
    auto& promises = *logs_[log].promises;
    if (leader == nullptr || !promises.converged(*leader->logs[log].member))
      return promises.report("a healthy cluster has one log",
                             leader == nullptr ? node_id{} : leader->id, describe(log));
    promises.judge_end(*leader->logs[log].member);
    if (how_.disks)
      judge_files(log, *leader);
  }
}

// Where everybody stands, for whoever has to find out why that is not the same place.
std::string cluster_world::describe(std::size_t log) const {
  std::string text = "members:";
  for (const auto& node : nodes_) {
    const auto& member = *node.logs[log].member;
    text += " node " + std::to_string(node.id.value);
    if (!node.alive) {
      text += " is dead;";
      continue;
    }
    const auto& core = member.core();
    text += core.now() == role::leader ? " leads" : " follows";
    text += " in term " + std::to_string(core.current_term().value) + ", has [" +
            std::to_string(member.disk.start.value) + ", " +
            std::to_string(member.disk.end().value) + "), durable to " +
            std::to_string(member.disk.durable_end.value) + ", committed to " +
            std::to_string(core.log().committed_end.value);
    if (!member.settled())
      text += ", busy";
    for (const auto& view : core.followers())
      text += ", feeds " + std::to_string(view.node.value) + " (" +
              std::to_string(static_cast<int>(view.how)) + ") from " +
              std::to_string(view.next.value) + (view.fetching ? " fetching" : "");
    text += ";";
  }
  return text;
}

// The files of all members, as far as they have them, are the leader's.
void cluster_world::judge_files(std::size_t log, const cluster_node& leader) {
  const auto theirs = leader.logs[log].real->segments();
  for (auto& node : nodes_) {
    if (!leader.logs[log].member->core().members().has(node.id))
      continue;
    for (const auto& [first, bytes] : node.logs[log].real->segments()) {
      const auto other = theirs.find(first);
      if (other == theirs.end() && !theirs.empty() && first < theirs.begin()->first)
        continue; // retention has been there
      if (other == theirs.end() || other->second != bytes)
        return logs_[log].promises->report("byte-identical", node.id,
                                           "segment " + std::to_string(first) + " differs");
    }
  }
}

} // namespace

cluster_report run_cluster(const cluster_run& how) {
  return cluster_world{how}.run();
}

} // namespace lance::sim
