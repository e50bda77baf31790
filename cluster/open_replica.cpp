#include "cluster/open_replica.hpp"

#include <array>

#include "cluster/control_entry.hpp"
#include "runtime/log.hpp"
#include "runtime/plant.hpp"
#include "storage/cut_log.hpp"
#include "storage/data_dir.hpp"
#include "storage/layout.hpp"
#include "storage/open_log.hpp"

namespace lance::cluster {

namespace {

namespace layout = storage::layout;
using runtime::log_level;

constexpr unsigned reads_max = 3; // a bit may turn over on the way
// So many batches behind the file are read again by each start; then it is written anew.
constexpr std::uint64_t unwritten_max = 4096;

std::string path_in(const std::string& directory, std::string_view name) {
  return layout::join(directory, name);
}

// None: there is no such file, or it is damaged, which is told.
result<std::optional<replica_state>> read_state(storage::disk& door, const std::string& path,
                                                log_id log) {
  if (!door.exists(path))
    return std::nullopt;
  for (unsigned tries = 0; tries < reads_max; ++tries) {
    const auto text = storage::read_small_file(door, path, replica_state_bytes_max);
    if (!text && text.error().code != errc::too_large)
      return tl::unexpected(text.error());
    if (auto state = text ? decode_replica_state(as_bytes(*text)) : fail(errc::bad_format);
        state && state->log == log)
      return std::move(*state);
  }
  runtime::log(log_level::error, "replica_state_damaged", {{"log", log.value}, {"file", path}});
  return std::nullopt;
}

class opening {
 public:
  opening(const storage::log_environment& environment, const storage::log_policy& policy,
          const replica_identity& who)
      : door_(*environment.door), environment_(environment), policy_(policy), who_(who) {}

  result<opened_replica> run();

 private:
  result<> find_state();
  result<> finish_new_start();
  result<> drop_everything(const storage::log_start& start);
  result<> finish_retention();
  result<> read_batches();
  result<std::optional<control_batch>> control_of(const storage::located_batch& found);
  void give_up(std::string_view why);

  storage::disk& door_;
  const storage::log_environment& environment_;
  const storage::log_policy& policy_;
  const replica_identity& who_;
  std::unique_ptr<storage::log> log_;
  replica_state state_;
  bool sound_ = true;
};

result<opened_replica> opening::run() {
  if (const auto done = finish_new_start(); !done)
    return tl::unexpected(done.error());
  auto opened = open_replicated_log(environment_, policy_);
  if (!opened)
    return tl::unexpected(opened.error());
  log_ = std::move(*opened);
  for (const auto step : {&opening::find_state, &opening::finish_retention, &opening::read_batches})
    if (const auto done = (this->*step)(); !done)
      return tl::unexpected(done.error());
  const bool open = log_->state() == storage::log_state::open;
  auto begun = state_.begin(who_.self, who_.promised, sound_ && who_.votes_sound && open);
  return opened_replica{std::move(log_), std::move(begun)};
}

// A new start was under way. Once `log.start` says so, too, it is decided: some of the segments may
// be gone already, and the rest follows. Before that the log is what it was.
result<> opening::finish_new_start() {
  const auto next = path_in(policy_.directory, layout::next_replica_name);
  if (!door_.exists(next))
    return {};
  const auto state = read_state(door_, next, policy_.log);
  if (!state)
    return tl::unexpected(state.error());
  const auto start = storage::read_log_start(door_, policy_.directory, policy_.log);
  if (!start && start.error().code == errc::io_failed)
    return tl::unexpected(start.error());
  const bool decided = *state && start && *start && (*start)->next_number == (*state)->start;
  result<> done;
  if (decided)
    done = drop_everything(**start);
  if (!done && done.error().code == errc::log_fenced)
    return {}; // when the fence is lifted
  if (done)
    done = decided ? door_.rename(next, path_in(policy_.directory, layout::replica_name))
                   : door_.remove(next);
  return done ? door_.sync_directory(policy_.directory) : done;
}

result<> opening::drop_everything(const storage::log_start& start) {
  const auto path = path_in(policy_.directory, layout::producers_name);
  std::string producers;
  if (door_.exists(path)) {
    auto text = storage::read_small_file(door_, path, storage::producer_snapshot_bytes_max);
    if (!text && text.error().code == errc::io_failed)
      return tl::unexpected(text.error());
    const auto known = text ? storage::decode_producers(as_bytes(*text)) : fail(errc::bad_format);
    if (known && known->end == start.next_number)
      producers = std::move(*text);
  }
  return storage::begin_log_at(door_, policy_.directory, start, as_bytes(producers));
}

result<> opening::find_state() {
  auto state = read_state(door_, path_in(policy_.directory, layout::replica_name), policy_.log);
  if (!state)
    return tl::unexpected(state.error());
  const auto end = log_->durable_next();
  if (*state && (*state)->start <= end) {
    state_ = std::move(**state);
    if (state_.end <= end)
      return {};
    // Written before others come in the place of what is gone.
    state_.truncate(end);
    if (runtime::planted(runtime::plant::stale_terms_kept))
      return {};
    return write_replica_state(door_, policy_.directory, state_);
  }
  state_ = replica_state::at(policy_.log, log_->start_number(), term{}, {{}, who_.created});
  if (*state || state_.start != storage::first_batch_number)
    give_up("what stands before the log's first batch is not known");
  return {};
}

// The file goes first, so what it says is decided; the segments may still be there.
result<> opening::finish_retention() {
  if (log_->start_number() < state_.start)
    if (const auto gone = log_->drop_segments_before(state_.start); !gone)
      return tl::unexpected(gone.error());
  if (log_->start_number() == state_.start)
    return {};
  state_ = replica_state::at(policy_.log, log_->start_number(), term{}, {{}, who_.created});
  give_up("the log does not begin where the file replica has it begin");
  return {};
}

result<> opening::read_batches() {
  const auto from = state_.end;
  const auto end = log_->durable_next();
  while (state_.end < end) {
    const auto found = log_->find_number(state_.end);
    if (!found)
      return tl::unexpected(found.error());
    auto control = found->entry.control ? control_of(*found)
                                        : result<std::optional<control_batch>>{std::nullopt};
    if (!control && control.error().code == errc::io_failed)
      return tl::unexpected(control.error());
    if (!control)
      give_up("a control batch cannot be read");
    if (!state_.add(found->number, found->entry.in_term, control ? *control : std::nullopt)) {
      give_up("terms go back");
      state_.runs.clear(); // nothing is told of it: any terms will do
      state_.memberships.clear();
      state_.runs.push_back({state_.start, found->entry.in_term});
      state_.base_term = term{};
      state_.end = end;
    }
  }
  // It is derived: where it cannot be written, the next start reads more.
  if (sound_ && end.value - from.value >= unwritten_max)
    (void)write_replica_state(door_, policy_.directory, state_);
  return {};
}

result<std::optional<control_batch>> opening::control_of(const storage::located_batch& found) {
  const auto in = log_->segment_of(found.number);
  if (!in)
    return tl::unexpected(in.error());
  const auto& facts = (*in)->facts();
  const auto name = (*in)->growing() != nullptr ? layout::active_name(facts.id)
                                                : layout::closed_name(facts.id, facts.last_ns);
  auto data = door_.open(path_in(policy_.directory, name), {.read_only = true});
  if (!data)
    return tl::unexpected(data.error());
  std::array<std::byte, storage::batch_header_bytes + control_entry_bytes_max> room{};
  const auto bytes = storage::batch_header_bytes + found.entry.payload_length;
  if (bytes > room.size())
    return fail(errc::corrupt);
  for (unsigned tries = 0; tries < reads_max; ++tries) {
    const auto got = (*data)->read_now(found.entry.position, byte_span{room}.first(bytes));
    if (!got)
      return tl::unexpected(got.error());
    const auto header = storage::decode(byte_view{room}.first(*got));
    if (*got != bytes || !header || header->header_crc != found.entry.header_crc ||
        header->number != found.number)
      continue;
    const auto payload =
        byte_view{room}.subspan(storage::batch_header_bytes, found.entry.payload_length);
    if (wire::checksum(header->payload_sum(), payload) != header->payload_crc)
      continue;
    auto control = decode_control(payload);
    if (!control)
      return tl::unexpected(control.error());
    return std::move(*control);
  }
  return fail(errc::corrupt);
}

void opening::give_up(std::string_view why) {
  if (std::exchange(sound_, false))
    runtime::log(log_level::error, "replica_not_fit",
                 {{"log", policy_.log.value}, {"directory", policy_.directory}, {"why", why}});
}

} // namespace

result<opened_replica> open_replica(const storage::log_environment& environment,
                                    const storage::log_policy& policy,
                                    const replica_identity& who) {
  return opening{environment, policy, who}.run();
}

result<std::unique_ptr<storage::log>>
open_replicated_log(const storage::log_environment& environment,
                    const storage::log_policy& policy) {
  auto opened = storage::log::open(environment, policy);
  if (!opened || (*opened)->has_active() || (*opened)->segment_count() == 0 ||
      (*opened)->state() != storage::log_state::open)
    return opened;
  const auto end = (*opened)->durable_next();
  opened->reset();
  const auto reopened =
      storage::cut_log(*environment.door, policy.directory, {policy.log, end, end, term{}});
  if (!reopened)
    return tl::unexpected(reopened.error());
  return storage::log::open(environment, policy);
}

result<> write_replica_state(storage::disk& door, const std::string& directory,
                             const replica_state& state) {
  const auto bytes = encode(state);
  if (!bytes)
    return tl::unexpected(bytes.error());
  return storage::write_file_atomically(door, path_in(directory, layout::replica_name), *bytes);
}

result<> begin_replica_at(storage::disk& door, const std::string& directory,
                          const replica_state& state, const storage::log_start& start,
                          byte_view producers, batch_number end) {
  const auto bytes = encode(state);
  if (!bytes)
    return tl::unexpected(bytes.error());
  // A tail that the leader has not may reach behind the start.
  if (end > start.next_number)
    if (const auto cut = storage::cut_log(
            door, directory, {start.log, start.next_number, batch_number{}, start.last_term});
        !cut)
      return tl::unexpected(cut.error());
  const auto next = path_in(directory, layout::next_replica_name);
  auto done = storage::write_file_atomically(door, next, *bytes);
  if (done)
    done = storage::begin_log_at(door, directory, start, producers);
  if (done)
    done = door.rename(next, path_in(directory, layout::replica_name));
  return done ? door.sync_directory(directory) : done;
}

} // namespace lance::cluster
