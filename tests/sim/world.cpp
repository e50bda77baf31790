#include "tests/sim/world.hpp"

#include <algorithm>

#include "runtime/check.hpp"
#include "storage/layout.hpp"
#include "tests/sim/sim_client.hpp"
#include "tests/sim/sim_node.hpp"

namespace lance::sim {

namespace {

// The streams of random numbers of one seed; those of the disk are in sim_disk.hpp.
enum concern : std::uint64_t { shape = 1, story, harm, process, network, clients = 50 };

// Opening writes the indexes that a crash has left short, a few blocks per log.
constexpr std::uint64_t ballast_bytes = 192 * KiB;

class world {
 public:
  world(std::uint64_t seed, bool print);
  run_report run();

 private:
  void choose_options();
  void choose_logs();
  void make_clients();
  [[nodiscard]] std::shared_ptr<sim_connection> dial();

  void live();
  void choose_weather();
  void clear_weather();
  void some_harm();
  void rot();
  void lift_fences(bool all);
  bool start_process();
  void end_process(ending how);
  void run_for(std::uint64_t span_ns);
  template <class Until>
  bool run_until(std::uint64_t limit_ns, Until until);
  void end_well();
  void read_everything();

  run_report report_;
  trace told_;
  event_loop loop_{told_};
  violations broken_;
  random_stream shape_;
  random_stream story_;
  random_stream harm_;
  random_stream process_;
  random_stream network_;
  client::on_unknown rule_;
  std::size_t window_;
  bool idempotent_;
  deliveries sent_;
  sim_disk disk_;
  storage::options chosen_;
  std::uint64_t recycle_bytes_ = 0;
  std::uint64_t reread_bytes_ = 0;
  std::unique_ptr<runtime::buffer_pool> append_pool_;
  std::unique_ptr<runtime::buffer_pool> read_pool_;
  std::vector<std::unique_ptr<log_world>> logs_;
  std::vector<std::weak_ptr<sim_connection>> lines_;
  std::vector<std::unique_ptr<sim_client>> clients_;
  std::unique_ptr<sim_node> node_;
  bool serving_ = false;
};

world::world(std::uint64_t seed, bool print)
    : shape_(seed, concern::shape), story_(seed, concern::story), harm_(seed, concern::harm),
      process_(seed, concern::process), network_(seed, concern::network),
      rule_(shape_.coin() ? client::on_unknown::resend : client::on_unknown::report),
      window_(shape_.below(3) == 0 ? 1 : shape_.between(2, 8)), idempotent_(shape_.coin()),
      sent_(broken_, rule_, window_, idempotent_), disk_(seed) {
  report_.seed = seed;
  told_.print = print;
  disk_.told = &told_;
  disk_.counted = &report_.faults;
  disk_.later = [this](std::uint64_t delay_ns, std::function<void()> deed) {
    loop_.after(delay_ns, std::move(deed));
  };
  disk_.on_failed_flush = [this](const std::string& name) {
    for (const auto& one : logs_)
      if (name.starts_with(one->policy.directory + '/'))
        one->history.flush_failed();
  };
  disk_.on_rename = [this](const std::string& from, const std::string& to) {
    report_.recycled += from.ends_with(".spare") && to.ends_with(".spare") ? 1 : 0;
  };
  choose_options();
  choose_logs();
  make_clients();
}

// Segments of a few batches, so that everything that can happen to a log happens often.
void world::choose_options() {
  chosen_.payload_bytes_max = 16 * KiB;
  chosen_.segment_bytes = 32 * KiB + shape_.below(5) * 8 * KiB;
  chosen_.allocate_bytes = 40 * KiB;
  chosen_.preallocate_bytes = shape_.below(3) * 8 * KiB;
  chosen_.group_bytes = shape_.coin() ? 16 * KiB : 128 * KiB;
  chosen_.tail_cache_bytes = shape_.below(3) * 64 * KiB;
  chosen_.read_depth = static_cast<std::uint32_t>(shape_.between(1, 4));
  chosen_.open_segments = 2;
  chosen_.index_group_entries = static_cast<std::uint32_t>(shape_.between(1, 8));
  chosen_.tick_ns = shape_.between(2, 30) * ms_in_ns;
  chosen_.lazy_flush_ns = shape_.between(5, 100) * ms_in_ns;
  recycle_bytes_ = shape_.below(3) * 160 * KiB;
  reread_bytes_ = shape_.below(3) * 100 * KiB;
  append_pool_ = *runtime::buffer_pool::make(
      {.count = 64, .buffer_bytes = shape_.coin() ? 8 * KiB : 16 * KiB, .huge_pages = false});
  // One buffer holds the largest batch, so that all that is read is verified.
  read_pool_ = *runtime::buffer_pool::make(
      {.count = chosen_.read_depth, .buffer_bytes = 32 * KiB, .huge_pages = false});
  LANCE_CHECK(storage::validate(chosen_).empty());
}

void world::choose_logs() {
  const auto count = shape_.between(2, 4);
  for (std::uint32_t i = 1; i <= count; ++i) {
    storage::log_policy policy;
    policy.log = log_id{i};
    policy.directory = "data/segments/t" + std::to_string(i) + "/0";
    constexpr auto sure = durability::fsync;
    constexpr durability levels[] = {
        sure, sure, sure, sure, durability::written, durability::memory};
    policy.level = shape_.pick(levels);
    policy.linger_ns = shape_.below(3) == 0 ? 300 * us_in_ns : 0;
    if (shape_.coin())
      policy.retention.max_bytes = shape_.between(3, 12) * 32 * KiB;
    if (shape_.below(3) != 0)
      policy.retention.max_age_ns = shape_.between(50, 1500) * ms_in_ns;
    logs_.push_back(std::make_unique<log_world>(policy, broken_, sent_));
  }
}

void world::make_clients() {
  const auto count = shape_.between(1, 3);
  for (std::uint32_t i = 0; i < count; ++i) {
    const sim_client_shape how{.number = i,
                               .logs = logs_.size(),
                               .window = window_,
                               .batch_bytes = shape_.between(500, 9000),
                               .rule = rule_,
                               .idempotent = idempotent_,
                               .pause_ns = shape_.between(300, 6000) * us_in_ns};
    clients_.push_back(
        std::make_unique<sim_client>(how, loop_, random_stream{report_.seed, concern::clients + i},
                                     sent_, told_, [this] { return dial(); }));
  }
}

std::shared_ptr<sim_connection> world::dial() {
  if (!serving_)
    return nullptr;
  auto line = std::make_shared<sim_connection>(loop_, network_);
  node_->accept(line);
  lines_.push_back(line);
  return line;
}

// -- time ----------------------------------------------------------------------------------------

template <class Until>
bool world::run_until(std::uint64_t limit_ns, Until until) {
  const auto end = loop_.now_ns() + limit_ns;
  while (!broken_.any() && !until()) {
    if (loop_.now_ns() >= end || !loop_.step())
      return false;
    if (disk_.dead())
      return false;
  }
  return !broken_.any();
}

void world::run_for(std::uint64_t span_ns) {
  const auto end = loop_.now_ns() + span_ns;
  (void)run_until(span_ns, [&] { return loop_.now_ns() >= end; });
}

// -- lives ---------------------------------------------------------------------------------------

run_report world::run() {
  const auto lives = story_.between(9, 14);
  for (std::uint64_t i = 0; i < lives && !broken_.any(); ++i)
    live();
  end_well();
  serving_ = false;
  clients_.clear();
  if (node_) {
    disk_.die();
    node_.reset();
  }
  for (const auto& one : logs_) {
    report_.read_bytes += one->reads.bytes();
    report_.dropped += one->retention.dropped();
  }
  report_.acknowledged = sent_.acknowledged();
  report_.resent = sent_.resent();
  report_.hash = told_.hash();
  report_.events = told_.events();
  report_.simulated_ns = loop_.now_ns();
  report_.violation = broken_.first();
  return report_;
}

// A process starts, does its work in some weather, and dies.
void world::live() {
  choose_weather();
  if (story_.below(5) == 0)
    disk_.die_in(story_.below(150));
  lift_fences(false);
  if (!start_process()) {
    if (disk_.dead())
      report_.faults.note(fault::died_in_start);
    else if (disk_.rates.cold_failed == 0 && disk_.rates.flush_failed == 0)
      broken_.report("comes back", "the logs do not open although the device only is full");
    return end_process(story_.coin() ? ending::power_cut : ending::killed);
  }
  const auto span = story_.below(4) == 0 ? story_.between(100 * us_in_ns, 4 * ms_in_ns)
                                         : story_.between(5 * ms_in_ns, 250 * ms_in_ns);
  const auto end = loop_.now_ns() + span;
  while (!broken_.any() && !disk_.dead() && loop_.now_ns() < end) {
    run_for(story_.between(500 * us_in_ns, 20 * ms_in_ns));
    some_harm();
    if (node_->any_fenced() && story_.coin())
      break;
  }
  if (broken_.any())
    return;
  if (!disk_.dead() && story_.coin())
    disk_.die_in(story_.below(40)); // in the middle of something
  run_for(story_.between(1, 3 * ms_in_ns));
  end_process(story_.below(100) < 60 ? ending::power_cut : ending::killed);
}

void world::choose_weather() {
  disk_.rates = {};
  disk_.capacity = ~std::uint64_t{0};
  auto& rates = disk_.rates;
  if (harm_.below(3) == 0)
    rates.slow = harm_.between(1'000, 30'000);
  if (harm_.below(3) == 0)
    rates.flush_failed = harm_.between(500, 20'000);
  if (harm_.below(5) == 0)
    rates.write_failed = harm_.between(500, 20'000);
  if (harm_.below(3) == 0)
    rates.read_failed = harm_.between(1'000, 50'000);
  if (harm_.below(3) == 0)
    rates.flipped = harm_.between(1'000, 50'000);
  if (harm_.below(4) == 0)
    rates.cold_failed = harm_.between(200, 4'000);
  // A full disk, with as much room as the ballast gives a process that starts.
  if (harm_.below(8) == 0)
    disk_.capacity = disk_.used() + ballast_bytes;
}

void world::clear_weather() {
  disk_.rates = {};
  disk_.capacity = ~std::uint64_t{0};
}

void world::some_harm() {
  if (harm_.below(6) == 0) {
    loop_.clock.jump(static_cast<std::int64_t>(harm_.below(120 * 60 * s_in_ns)) -
                     static_cast<std::int64_t>(60 * 60 * s_in_ns));
    report_.faults.note(fault::clock_jumped);
  }
  std::erase_if(lines_, [](const auto& one) { return one.expired(); });
  if (!lines_.empty() && harm_.below(5) == 0)
    if (const auto line = lines_[harm_.below(lines_.size())].lock(); line && line->whole()) {
      report_.faults.note(fault::connection_lost);
      told_.note("connection_lost", {});
      line->cut();
    }
  const bool bounded = disk_.capacity != ~std::uint64_t{0};
  if (harm_.below(8) == 0)
    disk_.capacity = bounded ? ~std::uint64_t{0} : disk_.used() + harm_.below(100 * KiB);
  if (harm_.below(12) == 0)
    rot();
}

// A bit of a closed segment's payload turns over on the device.
void world::rot() {
  std::vector<std::pair<log_world*, std::string>> closed;
  for (const auto& one : logs_)
    for (const auto& path : disk_.files())
      if (path.starts_with(one->policy.directory + '/') && disk_.durable_name(path) &&
          storage::layout::parse(path.substr(one->policy.directory.size() + 1)).kind ==
              storage::layout::file_kind::closed_segment)
        closed.emplace_back(one.get(), path);
  if (closed.empty())
    return;
  const auto& [log, path] = closed[harm_.below(closed.size())];
  const auto id = storage::layout::parse(path.substr(log->policy.directory.size() + 1)).segment;
  auto& history = log->history;
  std::uint64_t batches = 0;
  while (id.first.value + batches < history.next() &&
         history.batch(id.first.value + batches).place.segment == id)
    ++batches;
  if (batches == 0)
    return;
  auto& victim = history.batch(id.first.value + harm_.below(batches));
  const auto at = victim.place.position + storage::batch_header_bytes +
                  harm_.below(victim.place.header.payload_length);
  disk_.inode(path).flip(at, static_cast<unsigned>(harm_.below(8)));
  victim.rotted = true;
  report_.faults.note(fault::bit_rotted);
  told_.note("rotted", {log->policy.log.value, victim.place.header.number.value});
}

// An operator looks after some of the fenced logs before the process starts, in the end after all.
void world::lift_fences(bool all) {
  for (const auto& one : logs_) {
    const auto note = one->policy.directory + '/' + std::string{storage::layout::fence_name};
    const bool fenced = disk_.exists(note) || disk_.exists(note + ".tmp");
    one->lift_fence = fenced && (all || story_.coin());
    if (one->lift_fence)
      report_.faults.note(fault::fence_lifted);
  }
}

bool world::start_process() {
  node_ = std::make_unique<sim_node>(node_world{loop_, disk_, told_, report_.faults, sent_,
                                                process_, *append_pool_, *read_pool_, chosen_,
                                                recycle_bytes_, reread_bytes_, logs_});
  if (!node_->open() || disk_.dead() || broken_.any())
    return false;
  node_->run();
  serving_ = true;
  return true;
}

void world::end_process(ending how) {
  serving_ = false;
  disk_.die();
  node_.reset();
  ++report_.crashes;
  told_.note(how == ending::power_cut ? "power_cut" : "killed", {});
  for (const auto& one : logs_)
    one->history.process_ended(how);
  if (how == ending::power_cut) {
    disk_.crash();
  } else {
    report_.faults.note(fault::process_killed);
    disk_.kill();
  }
}

// -- the end -------------------------------------------------------------------------------------

void world::end_well() {
  if (broken_.any())
    return;
  clear_weather();
  lift_fences(true);
  if (!start_process()) {
    broken_.report("comes back", "the logs do not open although the device is well");
    return;
  }
  for (const auto& one : clients_)
    one->stop();
  const bool answered = run_until(60 * s_in_ns, [this] {
    return std::ranges::all_of(clients_, [](const auto& one) { return one->done(); });
  });
  if (!answered)
    broken_.report("answered once", "clients still wait after a minute of good weather");
  if (broken_.any())
    return;
  end_process(story_.coin() ? ending::power_cut : ending::killed);
  if (start_process())
    read_everything();
  else
    broken_.report("comes back", "the logs do not open although the device is well");
  if (!broken_.any())
    sent_.judge_all();
}

void world::read_everything() {
  if (!run_until(60 * s_in_ns, [this] { return node_->all_read(); }))
    broken_.report("readers get what was sent", "readers do not come to the end");
}

} // namespace

run_report run_seed(std::uint64_t seed, bool print) {
  return world{seed, print}.run();
}

} // namespace lance::sim
