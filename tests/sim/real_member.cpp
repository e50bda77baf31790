#include "tests/sim/real_member.hpp"

#include <algorithm>
#include <cstring>

#include "cluster/control_entry.hpp"
#include "runtime/check.hpp"
#include "storage/layout.hpp"

namespace lance::sim {

using namespace cluster;

namespace {

constexpr const char* data_directory = "data";

std::vector<std::byte> payload_of(std::uint64_t id, std::uint64_t bytes) {
  std::vector<std::byte> payload(std::max<std::uint64_t>(bytes, sizeof id));
  random_stream filler{id, 7};
  for (std::size_t at = 0; at < payload.size(); at += sizeof id) {
    const auto word = at == 0 ? id : filler.next();
    std::memcpy(payload.data() + at, &word, std::min(sizeof word, payload.size() - at));
  }
  return payload;
}

} // namespace

// -- the registry --------------------------------------------------------------------------------

void batch_registry::placed(batch_number number, const model_batch& what) {
  rows_.try_emplace({number, what.in_term}, row{what, 0});
}

const model_batch* batch_registry::find(batch_number number, term in_term) const {
  const auto at = rows_.find({number, in_term});
  return at == rows_.end() ? nullptr : &at->second.what;
}

const model_batch* batch_registry::holds(batch_number number, term in_term, std::uint32_t crc) {
  const auto at = rows_.find({number, in_term});
  const auto name = "log " + std::to_string(log_.value) + ": batch " +
                    std::to_string(number.value) + " of term " + std::to_string(in_term.value);
  if (at == rows_.end()) {
    broken_.report("nothing from nowhere", name + " was given no place");
    return nullptr;
  }
  if (at->second.crc == 0)
    at->second.crc = crc;
  if (at->second.crc != crc)
    broken_.report("byte-identical", name + " is not the same on two nodes");
  return &at->second.what;
}

// -- machine and process -------------------------------------------------------------------------

real_machine::real_machine(std::uint64_t seed, random_stream& shape, event_loop& loop, trace& told,
                           fault_counts& counted)
    : disk(seed) {
  disk.told = &told;
  disk.counted = &counted;
  disk.later = [&loop](std::uint64_t delay_ns, std::function<void()> deed) {
    loop.after(delay_ns, std::move(deed));
  };
  chosen.payload_bytes_max = 16 * KiB;
  chosen.segment_bytes = 32 * KiB;
  chosen.allocate_bytes = 40 * KiB;
  chosen.preallocate_bytes = shape.below(3) * 8 * KiB;
  chosen.group_bytes = shape.coin() ? 16 * KiB : 128 * KiB;
  chosen.tail_cache_bytes = shape.below(3) * 64 * KiB;
  chosen.read_depth = static_cast<std::uint32_t>(shape.between(1, 4));
  chosen.open_segments = 2;
  chosen.index_group_entries = static_cast<std::uint32_t>(shape.between(1, 8));
  chosen.tick_ns = shape.between(2, 30) * ms_in_ns;
  append_pool = *runtime::buffer_pool::make(
      {.count = 96, .buffer_bytes = shape.coin() ? 8 * KiB : 16 * KiB, .huge_pages = false});
  read_pool = *runtime::buffer_pool::make(
      {.count = chosen.read_depth, .buffer_bytes = 32 * KiB, .huge_pages = false});
  LANCE_CHECK(storage::validate(chosen).empty());
  LANCE_CHECK(disk.make_directories(data_directory).has_value());
}

real_process::real_process(real_machine& on, event_loop& loop, const runtime::clock& clock,
                           random_stream& chance, node_id self, const raft_options& chosen)
    : machine(on), timers(loop), random(chance), helper_(loop, chance),
      cache_(on.chosen.tail_cache_bytes), recycled_(160 * KiB), reader_(*on.read_pool, on.chosen) {
  environment.door = &on.disk;
  environment.cache = &cache_;
  environment.clock = &clock;
  environment.helper = &helper_;
  environment.owner = this;
  environment.recycled = &recycled_;
  environment.quarantine = "data/quarantine";
  environment.chosen = on.chosen;
  places = {&environment, on.append_pool.get(), &reader_, chosen, self, 0};
  if (auto book = storage::vote_book::open(on.disk, data_directory))
    votes = std::move(*book);
}

real_process::~real_process() {
  machine.disk.cancel_reads();
}

void real_process::log_changed(storage::log& which) {
  for (const auto* each : members_)
    if (each->uses(which))
      each->woken();
}

// -- the process of one member -------------------------------------------------------------------

real_member::real_member(node_id self, log_id log, const raft_options& chosen, membership created,
                         hooks how, batch_registry& registry,
                         std::function<real_process&()> process)
    : sim_member(self, log, chosen, std::move(how)), created_(std::move(created)),
      registry_(registry), find_process_(std::move(process)) {
  policy_.log = log;
  policy_.directory =
      storage::layout::log_directory(data_directory, "t" + std::to_string(log.value), 0);
  policy_.retention.max_bytes = 8 * 32 * KiB;
}

bool real_member::start(moment at) {
  process_ = &find_process_();
  dying_ = false;
  auto& process = *process_;
  if (!process.votes)
    return false;
  replica_identity who{self_, created_, std::nullopt, true};
  if (const auto* row = process.votes->find(log_); row != nullptr)
    who.promised = vote_record{row->log, row->current, row->vote};
  auto policy = policy_;
  policy.lift_fence = std::exchange(lift_fence, false);
  auto found = open_replica(process.environment, policy, who);
  if (!found || process.machine.disk.dead())
    return false;
  disk.current = found->start.current;
  disk.vote = found->start.vote;
  replica_owner& owner = *this;
  replica_ = std::make_unique<replica>(process.places, policy_, who, std::move(*found), owner, at);
  process.join(*this);
  after(at);
  return true;
}

void real_member::crash(std::uint64_t) {
  replica_.reset();
  appender_.reset();
  controls_.clear();
}

void real_member::tick(moment at) {
  replica_->tick(at);
  after(at);
}

void real_member::settle(moment at) {
  replica_->settle(at);
  after(at);
}

void real_member::receive(moment at, const letter& what) {
  replica_->receive(at, what.what, what.beside);
  after(at);
}

result<> real_member::change(moment at, membership_step step, node_id node) {
  const auto done = replica_->change_members(at, step, node);
  after(at);
  return done;
}

result<> real_member::transfer(moment at, node_id to) {
  const auto done = replica_->transfer(at, to);
  after(at);
  return done;
}

result<> real_member::read(moment at, std::uint64_t token) {
  const auto done = replica_->read(at, token);
  after(at);
  return done;
}

bool real_member::trim(moment at, batch_number to) {
  const auto before = disk.start;
  replica_->trim(at, to);
  after(at);
  return disk.start > before;
}

// What waited for the replica to be through.
void real_member::after(moment at) {
  while (!controls_.empty() && appender_ && !dying_) {
    const auto payload = controls_.front();
    const auto control = decode_control(payload);
    LANCE_CHECK(control.has_value());
    if (!append(at, payload, true, {leads_in_, 0, control->members, 0}))
      break;
    controls_.pop_front();
  }
  if (replica_->settled())
    look_at_log(*replica_);
}

// -- ingestion -----------------------------------------------------------------------------------

std::optional<batch_number> real_member::propose(moment at, std::uint64_t id, std::uint64_t bytes) {
  if (!accepting() || !controls_.empty())
    return std::nullopt;
  const auto number = disk.end();
  if (!append(at, payload_of(id, bytes), false, {leads_in_, id, std::nullopt, bytes}))
    return std::nullopt;
  after(at);
  return number;
}

bool real_member::append(moment at, byte_view payload, bool control, const model_batch& what) {
  storage::append_request request;
  request.payload = {&payload, 1};
  request.payload_crc = wire::checksum(request.payload_sum, payload);
  request.flags = control ? storage::batch_flag::control : std::uint16_t{0};
  request.record_count = control ? 0 : 1;
  request.wall_ns = process_->environment.clock->wall_ns();
  auto sealed = appender_->append(request);
  if (!sealed) {
    (void)appender_->release_idle();
    if (!process_->machine.append_pool->can_take(1))
      process_->environment.cache->shrink_to(0);
    sealed = appender_->append(request);
  }
  if (!sealed)
    return false;
  const auto number = sealed->header.number;
  registry_.placed(number, what);
  (void)registry_.holds(number, what.in_term, sealed->header.header_crc);
  disk.batches.push_back(what);
  while (appender_ && appender_->collect(run_))
    replica_->submit(at, leads_in_, run_);
  return true;
}

void real_member::lead(replica&, const storage::append_start& start, term in_term) {
  appender_ = std::make_unique<storage::appender>(start, process_->machine.chosen,
                                                  *process_->machine.append_pool,
                                                  storage::stamp_identity{self_, 1});
  appender_->set_term(in_term);
  leads_in_ = in_term;
}

void real_member::append_control(replica&, byte_view payload) {
  controls_.emplace_back(payload.begin(), payload.end());
}

void real_member::granted(replica&, const storage::append_grant& grant) {
  if (appender_)
    appender_->set_grant(grant);
}

void real_member::follow(replica&) {
  appender_.reset();
  controls_.clear();
}

// -- the rest of a poller ------------------------------------------------------------------------

// One file for all logs of the node, written beside the thread.
void real_member::persist(replica&, const vote_record& row) {
  auto& process = *process_;
  process.timers.after(process.random.between(50 * us_in_ns, 3 * ms_in_ns), [this, row, &process] {
    const storage::vote_row written{row.log, row.current, row.vote};
    const auto saved = process.votes->save({&written, 1});
    if (process.machine.disk.dead())
      return;
    if (saved) {
      disk.current = row.current;
      disk.vote = row.vote;
    }
    if (!pass(deed::persisted))
      process.machine.disk.die();
    replica_->persisted(saved);
    how_.wake();
  });
}

void real_member::send(replica& who, const message& what, std::span<const byte_view> beside) {
  look_at_log(who);
  if (dying_ || process_->machine.disk.dead())
    return;
  letter made{what, {}, {}};
  for (const auto& piece : beside)
    made.beside.insert(made.beside.end(), piece.begin(), piece.end());
  how_.send(std::move(made));
  if (!pass(deed::sent))
    process_->machine.disk.die();
}

void real_member::told(replica& who, const raft_output& out) {
  if (process_->machine.disk.dead())
    return;
  look_at_log(who);
  how_.saw(out);
  if (!pass(deed::told))
    process_->machine.disk.die();
}

void real_member::opened(replica& who) {
  if (std::exchange(known_core_, &who.core()) != &who.core())
    how_.started_over();
  auto* log = who.log();
  auto& door = process_->machine.disk;
  if (log == nullptr || door.dead())
    return;
  // The world looks without the disk's moods.
  const auto moods = std::exchange(door.rates, {});
  disk.start = log->start_number();
  disk.batches.clear();
  for (auto number = disk.start; number < log->durable_next(); ++number.value) {
    const auto found = log->find_number(number);
    const auto* known =
        found ? registry_.holds(number, found->entry.in_term, found->entry.header_crc) : nullptr;
    if (known == nullptr)
      break;
    disk.batches.push_back(*known);
  }
  disk.durable_end = disk.end();
  door.rates = moods;
}

// What became of the log since the last look.
void real_member::look_at_log(replica& who) {
  auto* log = who.log();
  if (log == nullptr)
    return;
  const auto& terms = who.core().log().terms;
  while (disk.end() < terms.end()) {
    const auto number = disk.end();
    const auto in_term = terms.before(batch_number{number.value + 1});
    if (registry_.find(number, in_term) == nullptr) // the batch that begins its own term
      registry_.placed(number, {in_term, 0, std::nullopt, 0});
    disk.batches.push_back(*registry_.find(number, in_term));
  }
  disk.durable_end = std::min(std::max(disk.durable_end, log->durable_next()), disk.end());
  if (const auto start = log->start_number(); start > disk.start && start <= disk.end()) {
    disk.batches.erase(disk.batches.begin(),
                       disk.batches.begin() +
                           static_cast<std::ptrdiff_t>(start.value - disk.start.value));
    disk.start = start;
  }
}

std::map<std::uint64_t, std::vector<std::byte>> real_member::segments() {
  std::map<std::uint64_t, std::vector<std::byte>> found;
  auto* log = replica_->log();
  for (std::size_t at = 0; log != nullptr && at < log->segment_count(); ++at) {
    const auto& facts = log->segment_at(at);
    for (const auto& name : process_->machine.disk.files()) {
      const auto prefix = policy_.directory + '/';
      if (!name.starts_with(prefix))
        continue;
      const auto parsed = storage::layout::parse(name.substr(prefix.size()));
      if ((parsed.kind != storage::layout::file_kind::active_segment &&
           parsed.kind != storage::layout::file_kind::closed_segment) ||
          parsed.segment != facts.id)
        continue;
      auto bytes = process_->machine.disk.content(name);
      bytes.resize(facts.file_bytes);
      found[facts.id.first.value] = std::move(bytes);
    }
  }
  return found;
}

} // namespace lance::sim
