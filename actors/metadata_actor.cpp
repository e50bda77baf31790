#include "actors/metadata_actor.hpp"

#include <memory>

#include "runtime/log.hpp"
#include "wire/error_reply.hpp"

namespace lance::actors {

using cluster::change_kind;
using wire::command;

namespace {

/// Requests of clients that wait for their turn to change the table.
constexpr std::size_t changes_waiting_max = 10'000;
/// So many new entries before the journal's size is looked at.
constexpr std::uint64_t look_every_entries = 100'000;
/// The journal is summed up once it has more segments than this.
constexpr std::uint64_t journal_segments_max = 3;

log_id log_of(topic_id id) {
  return log_id{id.value};
}

/// The journal, as if it were a topic.
cluster::topic journal_row() {
  cluster::topic row;
  row.id = topic_id{meta_log.value};
  row.name = meta_name;
  return row;
}

/// A name as a client sent it, fit for a sentence: bounded, and ASCII whatever it holds.
std::string quoted(std::string_view name) {
  std::string text = "'";
  for (const char c : name.substr(0, 64))
    text += c >= ' ' && c <= '~' ? c : '?';
  return text + (name.size() > 64 ? "...'" : "'");
}

} // namespace

metadata_actor::metadata_actor(caf::actor_config& config, const metadata_options& options,
                               journal_contents contents, storage::data_dir& home)
    : caf::event_based_actor(config), options_(options), contents_(std::move(contents)),
      home_(home) {}

caf::behavior metadata_actor::make_behavior() {
  set_default_handler(caf::drop);
  return {
      [this](metadata_routes& routes) {
        routes_ = std::move(routes);
        begin();
      },
      [this](control_request& request) { handle(request); },
      [this](const appended& what) {
        if (what.done)
          last_appended_ = what.batch;
        else if (what.refusal == errc::read_only)
          send(routes_.upkeep, journal_refused{});
        --appending_;
        resume(what.cookie, what.done, what.refusal);
        if (holding_ && appending_ == 0 && !summing_up_)
          sum_up();
      },
      [this](const log_opened& what) { resume(what.cookie, what.done, what.refusal); },
      [this](const log_deleted& what) {
        resume(what.cookie, what.done, what.done ? errc{} : errc::io_failed);
      },
      [this](const journal_state& what) {
        options_.journal_writable(what.writable && !journal_behind_);
      },
      [this](const disk_changed& what) {
        disk_full_ = what.level == storage::disk_level::stop_writes;
      },
      [this](const log_described& what) {
        if (auto found = describing_.find(what.cookie); found != describing_.end()) {
          auto then = std::move(found->second);
          describing_.erase(found);
          then(what);
        }
      },
  };
}

void metadata_actor::on_exit() {
  routes_ = {};
  waiting_.clear();
  describing_.clear();
  changes_.clear();
  vanishing_.clear();
}

storage::log_policy metadata_actor::policy_of(const cluster::topic& row) const {
  storage::log_policy policy;
  policy.log = log_of(row.id);
  policy.directory = home_.log_directory(row.name, 0);
  policy.level = row.policy.level;
  policy.direct = options_.direct;
  policy.linger_ns = options_.linger_ns;
  if (policy.log == meta_log) { // summed up instead (end_sum())
    policy.allocate_bytes = journal_allocate_bytes;
    return policy;
  }
  const auto limits = row.policy.limits.value_or(options_.retention);
  policy.retention = storage::retention_of(limits.max_age_secs, limits.max_bytes);
  return policy;
}

void metadata_actor::begin() {
  for (const auto& [id, row] : contents_.topics.topics())
    tell_name(id, row.name);
  const auto opened = [this](bool made, errc) {
    if (!made)
      ++open_failed_;
    ++opened_;
    send(routes_.supervisor, opening_progress{opened_});
    if (opened_ == opening_)
      send(routes_.supervisor, node_ready{true, opened_, open_failed_});
  };
  opening_ = contents_.topics.topics().size() + 2; // beside them the default topic and the journal
  const auto begin_with = [&](const cluster::topic& row) {
    send(routes_.ingestion[shard_of(log_of(row.id))], log_absent{log_of(row.id)});
    open(row, opened);
  };
  begin_with(journal_row());
  begin_with(contents_.topics.default_topic());
  for (const auto& [id, row] : contents_.topics.topics())
    begin_with(row);
  send(routes_.supervisor, opening_begun{});
}

void metadata_actor::tell_name(topic_id id, const std::string& name) {
  for (const auto& network : routes_.networks)
    send(network, topic_named{id, name});
}

void metadata_actor::open(const cluster::topic& row, continuation then) {
  send(routes_.pollers[shard_of(log_of(row.id))],
       open_log{policy_of(row), caf::actor_cast<caf::actor>(this), remember(std::move(then))});
}

std::uint64_t metadata_actor::remember(continuation then) {
  waiting_.emplace(next_cookie_, std::move(then));
  return next_cookie_++;
}

void metadata_actor::resume(std::uint64_t cookie, bool made, errc refusal) {
  if (auto found = waiting_.find(cookie); found != waiting_.end()) {
    auto then = std::move(found->second);
    waiting_.erase(found);
    then(made, refusal);
  }
}

void metadata_actor::append(std::vector<std::byte> entry, continuation then) {
  if (holding_) { // the journal is being summed up: what comes now comes after it
    held_.emplace_back(std::move(entry), std::move(then));
    return;
  }
  append_now(std::move(entry), std::move(then));
}

void metadata_actor::append_now(std::vector<std::byte> entry, continuation then) {
  if (journal_behind_)
    return then(false, errc::read_only);
  ++entries_since_look_;
  ++appending_;
  send(routes_.ingestion[shard_of(meta_log)],
       append_entry{meta_log, remember(std::move(then)), std::move(entry)});
}

// -- replies ---------------------------------------------------------------------------------

void metadata_actor::reply(const reply_address& to, command code, byte_view payload) {
  control_reply answer;
  answer.to = to;
  answer.code = code;
  answer.payload.assign(payload.begin(), payload.end());
  send(routes_.networks[to.network], std::move(answer));
}

void metadata_actor::reply_json(const reply_address& to, const std::string& json) {
  reply(to, command::topic_response, as_bytes(json));
}

void metadata_actor::refuse(const reply_address& to, errc code, const std::string& sentence) {
  reply(to, command::error_response, as_bytes(wire::error_text(code, sentence)));
}

// -- requests --------------------------------------------------------------------------------

void metadata_actor::handle(control_request& request) {
  const auto& to = request.from;
  const byte_view payload{request.payload};
  const auto bad = [&](errc code, const char* sentence) { refuse(to, code, sentence); };
  switch (request.code) {
  case command::create_topic: {
    if (payload.empty())
      return bad(errc::invalid_name, "Topic name required");
    return create(to, std::string{as_text(payload)}, {}, wire::topic_form::published);
  }
  case command::create_topic_with_retention: {
    const auto asked = wire::decode_create_with_retention(payload);
    if (!asked)
      return bad(
          asked.error().code,
          asked.error().code == errc::invalid_name
              ? "Invalid data: the topic name breaks the rule A-Z a-z 0-9 - _, 1 to 255 bytes"
              : "Invalid create topic payload");
    wire::topic_policy policy;
    policy.max_age_secs = asked->limits.max_age_secs;
    policy.max_bytes = asked->limits.max_bytes;
    return create(to, std::string{asked->name}, policy, wire::topic_form::flat);
  }
  case command::create_topic_x: {
    const auto asked = wire::decode_create_topic_x(payload);
    if (!asked)
      return bad(
          asked.error().code,
          "the request is not what CreateTopic (31) asks for: see its members in wire/README.md");
    return create(to, asked->name, asked->policy, wire::topic_form::extended);
  }
  case command::delete_topic: {
    const auto asked = wire::decode_topic_id(payload);
    return asked ? remove(to, *asked) : bad(errc::invalid_request, "Invalid payload length");
  }
  case command::get_topic: {
    const auto asked = wire::decode_topic_id(payload);
    if (!asked)
      return bad(errc::invalid_request, "Invalid payload length");
    const auto* found = contents_.topics.find(*asked);
    if (found == nullptr)
      return bad(errc::topic_not_found, "Topic not found");
    return reply_json(to,
                      wire::encode_topic(cluster::info_of(*found), wire::topic_form::published));
  }
  case command::list_topics: {
    const auto book = request.who != nullptr ? options_.access->current() : nullptr;
    std::vector<wire::topic_info> rows;
    for (const auto& [id, row] : contents_.topics.topics())
      if (book == nullptr || !book->rules ||
          book->rules->allow_any(request.who->identities, row.name))
        rows.push_back(cluster::info_of(row));
    return reply_json(to, wire::encode_topic_list(rows));
  }
  case command::set_retention: {
    const auto asked = wire::decode_set_retention(payload);
    if (!asked)
      return bad(errc::invalid_request, "Invalid set retention payload");
    wire::topic_policy members;
    members.max_age_secs = asked->limits.max_age_secs;
    members.max_bytes = asked->limits.max_bytes;
    return set_policy(to, asked->topic, members, [this, to, set = *asked](const cluster::topic&) {
      reply_json(to, wire::encode_retention_set(set));
    });
  }
  case command::set_topic: {
    const auto asked = wire::decode_set_topic(payload);
    if (!asked)
      return bad(
          asked.error().code,
          "the request is not what SetTopic (33) asks for: see its members in wire/README.md");
    const auto* found = contents_.topics.find(asked->name);
    if (found == nullptr)
      return refuse(to, errc::topic_not_found, "Topic " + quoted(asked->name) + " not found");
    return set_policy(to, found->id, asked->policy, [this, to](const cluster::topic& row) {
      reply_json(to, wire::encode_topic(cluster::info_of(row), wire::topic_form::extended));
    });
  }
  case command::describe_topic: {
    const auto asked = wire::decode_describe_topic(payload);
    return asked ? describe(to, *asked)
                 : bad(errc::invalid_request, "the request names a topic by \"name\" or \"id\"");
  }
  case command::unfence_topic: {
    const auto asked = wire::decode_describe_topic(payload);
    return asked ? unfence(to, *asked)
                 : bad(errc::invalid_request, "the request names a topic by \"name\" or \"id\"");
  }
  case command::get_cluster_status: {
    wire::cluster_status status;
    status.node = options_.node;
    status.is_leader = true;
    status.leader = options_.node;
    status.quorum_available = true;
    status.standalone = true;
    return reply(to, command::cluster_status_response, as_bytes(wire::encode(status)));
  }
  case command::subscribe: {
    const auto asked = wire::decode_subscribe(payload);
    return asked ? subscribe(to, *asked) : bad(errc::invalid_request, "Invalid subscribe payload");
  }
  case command::unsubscribe: {
    const auto asked = wire::decode_unsubscribe(payload);
    if (!asked)
      return bad(errc::invalid_request, "Invalid unsubscribe payload");
    contents_.offsets.unsubscribe(asked->log, asked->consumer_id);
    control_reply answer;
    answer.to = to;
    answer.ack_frame = true;
    answer.ack_id = asked->consumer_id;
    send(routes_.networks[to.network], std::move(answer));
    return;
  }
  case command::commit_offset: {
    const auto asked = wire::decode_commit_offset(payload);
    return asked ? commit(to, *asked) : bad(errc::invalid_request, "Invalid commit offset payload");
  }
  case command::hello: {
    const auto asked = wire::decode_hello(payload);
    if (!asked)
      return bad(asked.error().code, "the request is not what Hello (30) asks for");
    wire::hello_reply answer;
    answer.server = "lance";
    answer.node = options_.node;
    answer.version = options_.version;
    answer.features = {"topics", "offset_lookup", "fetch_batches", "idempotence"};
    answer.backend = options_.backend;
    answer.max_frame_bytes = options_.max_frame_bytes;
    return reply_json(to, wire::encode(answer));
  }
  default:
    return bad(errc::invalid_request, "Invalid client command");
  }
}

void metadata_actor::create(const reply_address& to, std::string name,
                            const wire::topic_policy& policy, wire::topic_form form) {
  // The directory bears the name: the deleted topic's must be out of the way before.
  if (auto found = vanishing_.find(name); found != vanishing_.end()) {
    if (found->second.stuck)
      return refuse(to, errc::io_failed,
                    "the data of a deleted topic of this name cannot be moved away; see the "
                    "broker's log");
    if (found->second.waiting.size() >= changes_waiting_max)
      return refuse(to, errc::throttled, "too many topic changes wait already");
    found->second.waiting.push_back(
        [this, to, name, policy, form] { create(to, name, policy, form); });
    return;
  }
  if (disk_full_)
    return refuse(to, errc::read_only,
                  "the disk is too full for another topic: delete one, or lower the retention of "
                  "some");
  if (policy.mode == ack_mode::l2)
    return refuse(to, errc::unsupported,
                  "L2 acknowledges on a majority of a cluster, and this node stands alone: use L1");
  if (changes_.size() >= changes_waiting_max)
    return refuse(to, errc::throttled, "too many topic changes wait already");
  changes_.push_back([this, to, name = std::move(name), policy, form] {
    if (vanishing_.contains(name)) { // deleted while this waited for its turn
      changing_ = false;
      return create(to, name, policy, form);
    }
    auto planned = contents_.topics.plan_create({name, policy}, clock_.wall_ns() / s_in_ns);
    std::string why;
    if (!planned) {
      switch (planned.error().code) {
      case errc::topic_exists:
        why = "Topic " + quoted(name) + " already exists";
        break;
      case errc::invalid_name:
        why = "Invalid data: topic name " + quoted(name) +
              " breaks the rule: A-Z a-z 0-9 - _, 1 to 255 bytes, not \"0\", not beginning with __";
        break;
      case errc::unsupported:
        why = "this node takes topics of one partition and one replica";
        break;
      case errc::throttled:
        why = "the table of topics is full";
        break;
      default:
        why = "a member of the topic's policy is out of its range";
      }
    }
    change(to, std::move(planned), why, [this, to, form](const cluster::metadata_change& applied) {
      const auto row = applied.row;
      tell_name(row.id, row.name);
      open(row, [this, to, form, row](bool opened, errc refusal) {
        if (!opened)
          return refuse(to, refusal, "the topic is made, but its log could not be opened");
        reply_json(to, wire::encode_topic(cluster::info_of(row), form));
      });
    });
  });
  next_change();
}

void metadata_actor::change(const reply_address& to, result<cluster::metadata_entry> planned,
                            std::string not_done,
                            std::function<void(const cluster::metadata_change&)> then) {
  if (!planned) {
    refuse(to, planned.error().code, not_done);
    changing_ = false;
    return;
  }
  append(cluster::encode(*planned),
         [this, to, entry = *planned, then = std::move(then)](bool made, errc refusal) {
           if (!made) {
             refuse(to, refusal, "the change could not be made durable");
           } else if (auto applied = contents_.topics.apply(entry); !applied) {
             refuse(to, applied.error().code, "another change came first");
           } else {
             then(*applied);
           }
           changing_ = false;
           next_change();
           sum_up_if_large();
         });
}

void metadata_actor::next_change() {
  while (!changing_ && !changes_.empty()) {
    changing_ = true;
    auto next = std::move(changes_.front());
    changes_.pop_front();
    next();
  }
}

void metadata_actor::remove(const reply_address& to, topic_id id) {
  if (changes_.size() >= changes_waiting_max)
    return refuse(to, errc::throttled, "too many topic changes wait already");
  changes_.push_back([this, to, id] {
    change(to, contents_.topics.plan_delete(id),
           id.value == 0 ? "the default topic cannot be deleted"
                         : "Topic " + std::to_string(id.value) + " not found",
           [this, to, id](const cluster::metadata_change& applied) {
             const auto name = applied.row.name;
             tell_name(id, {});
             vanishing_[name];
             // Replay drops the offsets where it meets the deletion; so here.
             (void)contents_.offsets.apply(cluster::offsets_dropped{log_of(id)});
             send(routes_.ingestion[shard_of(log_of(id))],
                  delete_log{log_of(id), caf::actor_cast<caf::actor>(this),
                             remember([this, to, id, name](bool gone, errc) {
                               reply_json(to, wire::encode_deleted(id));
                               vanished(name, gone);
                             })});
           });
  });
  next_change();
}

void metadata_actor::vanished(const std::string& name, bool gone) {
  auto& entry = vanishing_[name];
  const auto waiting = std::move(entry.waiting);
  entry.waiting.clear();
  entry.stuck = !gone;
  if (gone)
    vanishing_.erase(name);
  for (const auto& each : waiting)
    each();
}

void metadata_actor::set_policy(const reply_address& to, topic_id id,
                                const wire::topic_policy& members,
                                std::function<void(const cluster::topic&)> answer) {
  if (members.mode == ack_mode::l2)
    return refuse(to, errc::unsupported,
                  "L2 acknowledges on a majority of a cluster, and this node stands alone: use L1");
  if (changes_.size() >= changes_waiting_max)
    return refuse(to, errc::throttled, "too many topic changes wait already");
  changes_.push_back([this, to, id, members, answer = std::move(answer)] {
    auto planned = contents_.topics.plan_set_policy(id, members);
    std::string why = "the change is out of its range";
    if (!planned && planned.error().code == errc::topic_not_found)
      why = "Topic " + std::to_string(id.value) + " not found";
    else if (id.value == 0)
      why = "the default topic has the node's policy, which cannot be changed by a client";
    else if (!planned && planned.error().code == errc::unsupported)
      why = "this node takes topics of one partition and one replica";
    change(
        to, std::move(planned), why, [this, to, answer](const cluster::metadata_change& applied) {
          const auto row = applied.row;
          open(row, [this, to, answer, row](bool opened, errc refusal) {
            if (!opened)
              return refuse(to, refusal, "the policy is stored, but the topic's log is not open");
            answer(row);
          });
        });
  });
  next_change();
}

void metadata_actor::subscribe(const reply_address& to, const wire::subscribe_request& asked) {
  if (!known(asked.log))
    return refuse(to, errc::topic_not_found, "Topic not found");
  const auto finish = [this, to, asked](byte_offset end) {
    const auto start = contents_.offsets.subscribe(asked.log, asked.consumer_id, asked.start, end);
    if (!start)
      return refuse(to, start.error().code, "too many consumers are subscribed already");
    reply(to, command::subscribe_ack, wire::encode(wire::subscribe_ack{asked.consumer_id, *start}));
  };
  if (asked.start != cluster::subscribe_at_end)
    return finish(byte_offset{});
  const auto cookie = next_cookie_++;
  describing_.emplace(cookie, [finish](const log_described& what) { finish(what.facts.end); });
  send(routes_.pollers[shard_of(asked.log)],
       describe_log{asked.log, caf::actor_cast<caf::actor>(this), cookie});
}

void metadata_actor::commit(const reply_address& to, const wire::commit_offset_request& asked) {
  if (!known(asked.log))
    return refuse(to, errc::topic_not_found, "Topic not found");
  auto planned = contents_.offsets.plan_commit(asked.log, asked.consumer_id, asked.offset);
  if (!planned)
    return refuse(to, planned.error().code, "too many consumers have committed offsets already");
  append(cluster::encode(*planned), [this, to, asked, entry = *planned](bool made, errc refusal) {
    if (!made)
      return refuse(to, refusal, "the offset could not be made durable");
    if (auto applied = contents_.offsets.apply(entry); !applied)
      return refuse(to, applied.error().code, "too many consumers have committed offsets already");
    reply(to, command::commit_ack, wire::encode(wire::commit_ack{asked.consumer_id, asked.offset}));
    sum_up_if_large();
  });
}

std::optional<cluster::topic> metadata_actor::find(const reply_address& to,
                                                   const wire::describe_topic_request& asked) {
  if (asked.name == meta_name)
    return journal_row();
  const auto* found =
      asked.name.empty() ? contents_.topics.find(asked.id) : contents_.topics.find(asked.name);
  if (found != nullptr)
    return *found;
  refuse(to, errc::topic_not_found,
         asked.name.empty() ? "Topic " + std::to_string(asked.id.value) + " not found"
                            : "Topic " + quoted(asked.name) + " not found");
  return std::nullopt;
}

void metadata_actor::ask_for(const cluster::topic& row,
                             std::function<void(const log_described&)> then) {
  const auto cookie = next_cookie_++;
  describing_.emplace(cookie, std::move(then));
  send(routes_.pollers[shard_of(log_of(row.id))],
       describe_log{log_of(row.id), caf::actor_cast<caf::actor>(this), cookie});
}

void metadata_actor::describe(const reply_address& to, const wire::describe_topic_request& asked) {
  const auto row = find(to, asked);
  if (!row)
    return;
  ask_for(*row, [this, to, row = *row](const log_described& what) {
    if (!what.done)
      return refuse(to, errc::internal, "the topic's log is not open; see the broker's log");
    wire::topic_description description;
    description.topic = cluster::info_of(row);
    description.partitions.push_back(what.facts);
    reply_json(to, wire::encode(description));
  });
}

void metadata_actor::unfence(const reply_address& to, const wire::describe_topic_request& asked) {
  const auto row = find(to, asked);
  if (!row)
    return;
  auto policy = policy_of(*row);
  policy.lift_fence = true;
  const auto then = [this, to, row = *row](bool opened, errc refusal) {
    if (opened)
      return unfenced(to, row);
    switch (refusal) {
    case errc::invalid_request:
      return refuse(to, refusal, "the log of " + quoted(row.name) + " is not fenced");
    case errc::corrupt:
      return refuse(to, refusal,
                    "the log of " + quoted(row.name) +
                        " is damaged, not only fenced: lnc segment verify names the place; restore "
                        "it from a copy");
    case errc::log_opening:
      return refuse(to, refusal, "the log of " + quoted(row.name) + " is being recovered already");
    default:
      return refuse(to, refusal,
                    "the log of " + quoted(row.name) +
                        " could not be opened again and stays closed; see the broker's log");
    }
  };
  send(routes_.ingestion[shard_of(log_of(row->id))],
       unfence_log{{policy, caf::actor_cast<caf::actor>(this), remember(then)}});
}

// The log is open again; in which state recovery tells.
void metadata_actor::unfenced(const reply_address& to, const cluster::topic& row) {
  if (log_of(row.id) == meta_log) {
    // What was appended and not acknowledged may be there now, and was not applied here.
    journal_behind_ = true;
    options_.journal_writable(false);
    runtime::log(runtime::log_level::warning, "journal_behind",
                 {{"remedy", "restart the node: topics cannot change until then"}});
  }
  ask_for(row, [this, to, row](const log_described& what) {
    const auto& state = what.facts.state;
    if (state == "damaged")
      return refuse(to, errc::corrupt,
                    "the log of " + quoted(row.name) +
                        " is damaged: lnc segment verify names the place; restore it from a copy");
    if (state == "fenced")
      return refuse(to, errc::read_only,
                    "the log of " + quoted(row.name) +
                        " is still fenced; see tail_waits_for_room or log_fenced in the broker's "
                        "log for the reason");
    wire::topic_description description;
    description.topic = cluster::info_of(row);
    description.partitions.push_back(what.facts);
    reply_json(to, wire::encode(description));
  });
}

// -- the journal -----------------------------------------------------------------------------

// The journal is summed up once it has grown over several segments: when nothing is under way, the
// whole state is appended anew, and then the segments before it are dropped. New entries wait
// meanwhile, so that none can be overtaken by an older state. If any entry of the sum fails, the
// history stays.
void metadata_actor::sum_up_if_large() {
  if (holding_ || looking_ || entries_since_look_ < look_every_entries)
    return;
  entries_since_look_ = 0;
  looking_ = true;
  const auto cookie = next_cookie_++;
  describing_.emplace(cookie, [this](const log_described& what) {
    looking_ = false;
    holding_ = what.done && what.facts.segments > journal_segments_max;
    if (holding_ && appending_ == 0)
      sum_up();
  });
  send(routes_.pollers[shard_of(meta_log)],
       describe_log{meta_log, caf::actor_cast<caf::actor>(this), cookie});
}

void metadata_actor::sum_up() {
  auto entries = contents_.topics.snapshot();
  auto offsets = contents_.offsets.snapshot();
  entries.insert(entries.end(), std::make_move_iterator(offsets.begin()),
                 std::make_move_iterator(offsets.end()));
  runtime::log(runtime::log_level::info, "journal_summed_up", {{"entries", entries.size()}});
  summing_up_ = true;
  sum_left_ = sum_size_ = entries.size();
  sum_whole_ = true;
  for (auto& entry : entries)
    append_now(std::move(entry), [this](bool made, errc) {
      if (sum_left_ == sum_size_)
        sum_first_ = last_appended_;
      sum_whole_ = sum_whole_ && made;
      if (--sum_left_ == 0)
        end_sum();
    });
  if (entries.empty())
    end_sum();
}

void metadata_actor::end_sum() {
  if (sum_whole_ && sum_size_ > 0)
    send(routes_.pollers[shard_of(meta_log)], drop_before{meta_log, sum_first_});
  summing_up_ = holding_ = false;
  auto held = std::move(held_);
  held_.clear();
  for (auto& [entry, then] : held)
    append_now(std::move(entry), std::move(then));
}

} // namespace lance::actors
