#include "tests/cluster/story.hpp"

#include <algorithm>
#include <stdexcept>

namespace lance::story {

using namespace cluster;
using sim::letter;
using sim::model_member;

namespace {

constexpr const char* role_names[] = {"follower", "pre-candidate", "candidate", "leader"};
constexpr log_id the_log{1};
constexpr std::size_t deliveries_max = 100'000; // a story that needs more goes round in circles

std::string text(std::uint64_t value) {
  return std::to_string(value);
}

std::string text(const membership& members) {
  std::string told;
  for (const auto node : members.voters)
    told += (told.empty() ? "" : " ") + text(node.value);
  for (const auto node : members.learners)
    told += " (" + text(node.value) + ")";
  return told;
}

} // namespace

cluster_story::cluster_story() {
  options_.resend_ns = 300 * ms_in_ns;
  options_.window_appends = 4;
}

std::uint64_t cluster_story::number(const std::string& word) {
  std::size_t used = 0;
  const auto value = std::stoull(word, &used);
  if (used != word.size())
    throw std::invalid_argument{word};
  return value;
}

cluster_story::node& cluster_story::at(const std::string& word) {
  return nodes_.at(number(word));
}

moment cluster_story::moment_of(const node& which) const {
  return {which.now_ns, which.random};
}

void cluster_story::make(std::uint64_t id) {
  if (nodes_.contains(id))
    return;
  auto& made = nodes_[id];
  model_member::hooks hooks;
  hooks.send = [this](letter one) { on_the_way_.push_back(std::move(one)); };
  hooks.saw = [this, id](const raft_output& out) { saw(id, out); };
  made.member = std::make_unique<model_member>(node_id{static_cast<std::uint16_t>(id)}, the_log,
                                               options_, members_, hooks);
}

void cluster_story::saw(std::uint64_t id, const raft_output& out) {
  auto& news = nodes_.at(id).news;
  if (out.truncate_to)
    news.push_back("cuts its log at " + text(out.truncate_to->value));
  if (out.begin_at)
    news.push_back("begins its log at " + text(out.begin_at->start.value));
  for (const auto& each : out.reads)
    news.push_back("read " + text(each.token) +
                   (each.lost ? " lost" : " up to " + text(each.committed_end.value)));
  for (const auto& each : out.events)
    news.push_back(text(each.node.value) + (each.what == follower_news::evicted ? " is evicted"
                                            : each.what == follower_news::returned
                                                ? " returns"
                                                : " was rebased"));
}

// "2 leader t3 [1 1 2] 3 ~3": terms of the batches; committed ones in brackets, ~ is not durable.
std::string cluster_story::state(std::uint64_t id) const {
  const auto& member = *nodes_.at(id).member;
  std::ostringstream told;
  told << id << ' ';
  const auto& disk = member.disk;
  if (!member.alive()) {
    told << "down";
  } else {
    const auto& core = member.core();
    told << role_names[static_cast<int>(core.now())] << " t" << core.current_term().value;
    if (core.vote())
      told << " voted " << core.vote()->value;
    if (core.leader() && core.now() == role::follower)
      told << " follows " << core.leader()->value;
  }
  const auto committed = member.alive() ? member.core().log().committed_end : batch_number{0};
  told << " log";
  if (disk.start.value > 1)
    told << " from " << disk.start.value;
  for (auto at = disk.start; at < disk.end(); ++at.value) {
    told << ' ';
    if (at == disk.start && at < committed)
      told << '[';
    if (at >= disk.durable_end)
      told << '~';
    told << disk.at(at).in_term.value;
    if (at.value + 1 == committed.value)
      told << ']';
  }
  return told.str();
}

std::string cluster_story::describe(const letter& one) const {
  std::ostringstream told;
  told << one.what.from.value << "->" << one.what.to.value << ' ' << sim::name_of(one.what) << " t"
       << one.what.in_term.value;
  if (const auto* body = std::get_if<append>(&one.what.body))
    told << ' ' << body->from.value << ".." << body->end.value << " after t"
         << body->previous_term.value << " committed " << body->committed_end.value;
  if (const auto* body = std::get_if<append_reply>(&one.what.body)) {
    if (body->accepted)
      told << " durable " << body->durable_end.value << " received " << body->received_end.value;
    else
      told << " refused, hint " << body->hint.end.value << " t" << body->hint.in_term.value;
  }
  if (const auto* body = std::get_if<vote_request>(&one.what.body))
    told << (body->pre ? " pre" : "") << " log " << body->last.end.value << " t"
         << body->last.in_term.value;
  if (const auto* body = std::get_if<vote_reply>(&one.what.body))
    told << (body->pre ? " pre" : "") << (body->granted ? " granted" : " refused");
  return told.str();
}

// [from N] [to N] [kind] [one]
bool cluster_story::chosen(const letter& one, const words& given) const {
  for (std::size_t i = 1; i < given.size(); ++i) {
    if (given[i] == "from" || given[i] == "to") {
      const auto wanted = number(given.at(i + 1));
      if ((given[i] == "from" ? one.what.from : one.what.to).value != wanted)
        return false;
      ++i;
    } else if (given[i] != "one" && given[i] != sim::name_of(one.what)) {
      return false;
    }
  }
  return true;
}

bool cluster_story::is_cut(const letter& one) const {
  return cut_.contains({one.what.from.value, one.what.to.value});
}

// -- words ---------------------------------------------------------------------------------------

std::string cluster_story::perform(const std::string& line) {
  std::istringstream in{line};
  words given;
  for (std::string word; in >> word;)
    given.push_back(word);
  std::string told;
  try {
    if (set_up(given))
      return {};
    if (!started_)
      start_all();
    std::map<std::uint64_t, std::string> before;
    for (auto& [id, each] : nodes_) {
      before[id] = state(id);
      each.news.clear();
    }
    if (!move_time(given) && !move_letters(given) && !show(given, told) && !harm(given) &&
        !ask(given, told))
      return "error: no such word: " + line + "\n";
    for (auto& [id, each] : nodes_) {
      for (const auto& one : each.news)
        told += text(id) + ": " + one + "\n";
      if (const auto after = state(id); after != before[id])
        told += before[id] + "  =>  " + after.substr(after.find(' ') + 1) + "\n";
    }
  } catch (const std::exception&) {
    return "error: not understood: " + line + "\n";
  }
  return told.empty() ? "nothing\n" : told;
}

// Before the start.
bool cluster_story::set_up(const words& given) {
  if (given[0] == "members") {
    bool learners = false;
    for (std::size_t i = 1; i < given.size(); ++i) {
      learners = learners || given[i] == "learners";
      if (given[i] != "learners")
        (learners ? members_.learners : members_.voters)
            .push_back(node_id{static_cast<std::uint16_t>(number(given[i]))});
    }
    for (const auto each : members_.voters)
      make(each.value);
    for (const auto each : members_.learners)
      make(each.value);
  } else if (given[0] == "stranger") { // a node outside of the group
    make(number(given.at(1)));
  } else if (given[0] == "log") {
    auto& disk = at(given.at(1)).member->disk;
    for (std::size_t i = 2; i < given.size(); ++i)
      disk.batches.push_back({term{number(given[i])}, next_id_++, std::nullopt, 100});
    disk.current = disk.batches.empty() ? term{0} : disk.batches.back().in_term;
    disk.durable_end = disk.end();
  } else if (given[0] == "term") {
    at(given.at(1)).member->disk.current = term{number(given.at(2))};
  } else {
    return false;
  }
  return true;
}

void cluster_story::start_all() {
  started_ = true;
  for (auto& [id, each] : nodes_)
    each.member->start(moment_of(each));
}

bool cluster_story::move_time(const words& given) {
  if (given[0] == "timeout") { // this member has waited too long
    auto& one = at(given.at(1));
    one.now_ns += 2 * options_.election_ns;
    one.member->tick(moment_of(one));
  } else if (given[0] == "elect") { // the same, and all that follows from it
    auto& one = at(given.at(1));
    for (auto& [id, each] : nodes_) // those that heard a leader have not for long
      each.now_ns += options_.election_ns;
    one.now_ns += options_.election_ns;
    one.member->tick(moment_of(one));
    settle();
  } else if (given[0] == "pass") { // so many ms for everybody, or for one
    for (auto& [id, each] : nodes_) {
      if (given.size() > 2 && id != number(given[2]))
        continue;
      each.now_ns += number(given.at(1)) * ms_in_ns;
      if (each.member->alive())
        each.member->tick(moment_of(each));
    }
  } else if (given[0] == "idle") { // so many ms, and nobody looks at the clock
    for (auto& [id, each] : nodes_)
      each.now_ns += number(given.at(1)) * ms_in_ns;
  } else if (given[0] == "settle") {
    settle();
  } else if (given[0] == "sync") {
    (void)sync(at(given.at(1)));
  } else if (given[0] == "fetch") { // what the leader reads from its segments for others
    auto& one = at(given.at(1));
    while (one.member->answer_fetch(moment_of(one), 3, false)) {
    }
  } else if (given[0] == "no-sync") {
    at(given.at(1)).syncs = false;
  } else if (given[0] == "auto-sync") {
    at(given.at(1)).syncs = true;
  } else {
    return false;
  }
  return true;
}

bool cluster_story::move_letters(const words& given) {
  std::vector<letter> taken;
  const auto take = [&](std::vector<letter>& from) {
    const bool one_only = std::ranges::find(given, "one") != given.end();
    std::erase_if(from, [&](const letter& one) {
      if (!chosen(one, given) || (one_only && !taken.empty()))
        return false;
      taken.push_back(one);
      return true;
    });
  };
  if (given[0] == "deliver") {
    take(on_the_way_);
    for (const auto& one : taken)
      deliver(one);
  } else if (given[0] == "drop") {
    take(on_the_way_);
  } else if (given[0] == "hold") {
    take(on_the_way_);
    held_.insert(held_.end(), taken.begin(), taken.end());
  } else if (given[0] == "copy") { // they arrive, and once more when released
    for (const auto& one : on_the_way_)
      if (chosen(one, given))
        held_.push_back(one);
  } else if (given[0] == "release") {
    take(held_);
    for (const auto& one : taken)
      deliver(one);
  } else if (given[0] == "release-backwards") {
    take(held_);
    std::ranges::reverse(taken);
    for (const auto& one : taken)
      deliver(one);
  } else {
    return false;
  }
  return true;
}

bool cluster_story::ask(const words& given, std::string& told) {
  if (given[0] == "append") { // N batches at a member, whoever that is
    auto& one = at(given.at(1));
    for (std::uint64_t i = given.size() > 2 ? number(given[2]) : 1; i > 0; --i)
      if (!one.member->propose(moment_of(one), next_id_++, 100)) {
        told += "refused\n";
        break;
      }
    return true;
  }
  const std::map<std::string, membership_step> steps{{"add-learner", membership_step::add_learner},
                                                     {"promote", membership_step::promote},
                                                     {"demote", membership_step::demote},
                                                     {"remove", membership_step::remove}};
  result<> done;
  auto& one =
      given.size() > 1 && nodes_.contains(number(given[1])) ? at(given[1]) : nodes_.begin()->second;
  const auto other = [&] { return node_id{static_cast<std::uint16_t>(number(given.at(2)))}; };
  if (const auto step = steps.find(given[0]); step != steps.end())
    done = one.member->change(moment_of(one), step->second, other());
  else if (given[0] == "transfer")
    done = one.member->transfer(moment_of(one), other());
  else if (given[0] == "read")
    done = one.member->read(moment_of(one), number(given.at(2)));
  else
    return false;
  if (!done)
    told += "refused: " + std::string{describe_error(done.error())} + "\n";
  return true;
}

bool cluster_story::harm(const words& given) {
  if (given[0] == "cut" || given[0] == "cut-one-way") { // cut A B, cut-one-way A B; cut A: from all
    const auto a = number(given.at(1));
    for (const auto& [id, each] : nodes_) {
      if (id == a || (given.size() > 2 && id != number(given[2])))
        continue;
      cut_.insert({a, id});
      if (given[0] == "cut")
        cut_.insert({id, a});
    }
  } else if (given[0] == "heal") {
    cut_.clear();
  } else if (given[0] == "crash") { // crash N [so many batches that were not durable are there]
    auto& one = at(given.at(1));
    one.member->crash(given.size() > 2 ? number(given[2]) : 0);
  } else if (given[0] == "restart") {
    auto& one = at(given.at(1));
    one.member->start(moment_of(one));
  } else if (given[0] == "unfit" || given[0] == "fit") {
    auto& one = at(given.at(1));
    one.member->set_fit(moment_of(one), given[0] == "fit");
  } else if (given[0] == "trim") {
    auto& one = at(given.at(1));
    (void)one.member->trim(moment_of(one), batch_number{number(given.at(2))});
  } else {
    return false;
  }
  return true;
}

bool cluster_story::show(const words& given, std::string& told) const {
  if (given[0] == "state") {
    for (const auto& [id, each] : nodes_)
      told += state(id) + "\n";
  } else if (given[0] == "messages") {
    for (const auto& one : on_the_way_)
      if (chosen(one, given))
        told += describe(one) + "\n";
  } else if (given[0] == "members-of") {
    told += text(nodes_.at(number(given.at(1))).member->core().members()) + "\n";
  } else if (given[0] == "acks-of") { // of a leader: up to where each mode acknowledges
    const auto& core = nodes_.at(number(given.at(1))).member->core();
    told += core.now() == role::leader ? "L1 " + text(core.log().durable_end.value) + ", L2 " +
                                             text(core.log().committed_end.value) + "\n"
                                       : "none\n";
  } else {
    return false;
  }
  return true;
}

// -- deeds ---------------------------------------------------------------------------------------

void cluster_story::deliver(const letter& one) {
  const auto to = nodes_.find(one.what.to.value);
  if (to == nodes_.end() || is_cut(one) || !to->second.member->alive())
    return;
  to->second.member->receive(moment_of(to->second), one);
}

bool cluster_story::sync(node& which) {
  if (!which.member->alive() || !which.member->dirty())
    return false;
  which.member->end_flush(moment_of(which), which.member->begin_flush(), 100 * us_in_ns);
  return true;
}

// Messages arrive in the order they were sent, disks sync and reads of segments end, until nothing
// is left to do. Time stands still.
void cluster_story::settle() {
  for (std::size_t i = 0; i < deliveries_max; ++i) {
    if (!on_the_way_.empty()) {
      const auto one = on_the_way_.front();
      on_the_way_.erase(on_the_way_.begin());
      deliver(one);
      continue;
    }
    bool any = false;
    for (auto& [id, each] : nodes_)
      if (each.member->alive())
        any = (each.syncs && sync(each)) || each.member->answer_fetch(moment_of(each), 3, false) ||
              any;
    if (!any)
      return;
  }
  throw std::runtime_error{"does not settle"};
}

} // namespace lance::story
