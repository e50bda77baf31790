// Carries the table of topics and the book of consumers: answers control commands, makes changes
// durable in `__meta` before they count, and has the logs opened and deleted. On the default
// workers; one per node.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <caf/event_based_actor.hpp>

#include "actors/access_book.hpp"
#include "actors/journal.hpp"
#include "actors/messages.hpp"
#include "runtime/clock.hpp"
#include "runtime/metrics.hpp"

namespace lance::actors {

struct metadata_options {
  node_id node;
  std::string version;
  std::uint64_t max_frame_bytes = 16 * MiB;
  std::uint64_t linger_ns = 0;
  bool direct = true;
  std::string backend;                   ///< shown by Hello
  wire::retention retention;             ///< of topics without limits of their own
  const access_source* access = nullptr; ///< which topics a caller may know of; null: all
  /// Told when the journal takes no entries any more, or does again.
  std::function<void(bool writable)> journal_writable = [](bool) {};
};

class metadata_actor final : public caf::event_based_actor {
 public:
  metadata_actor(caf::actor_config& config, const metadata_options& options,
                 journal_contents contents, storage::data_dir& home);

  caf::behavior make_behavior() override;
  void on_exit() override;
  const char* name() const override { return "metadata"; }

 private:
  using continuation = std::function<void(bool made, errc refusal)>;

  void begin();
  void handle(control_request& request);
  void create(const reply_address& to, std::string name, const wire::topic_policy& policy,
              wire::topic_form form);
  void change(const reply_address& to, result<cluster::metadata_entry> planned,
              std::string not_done, std::function<void(const cluster::metadata_change&)> then);
  void next_change();
  void remove(const reply_address& to, topic_id id);
  void vanished(const std::string& name, bool gone);
  void set_policy(const reply_address& to, topic_id id, const wire::topic_policy& members,
                  std::function<void(const cluster::topic&)> reply);
  void subscribe(const reply_address& to, const wire::subscribe_request& asked);
  void commit(const reply_address& to, const wire::commit_offset_request& asked);
  void describe(const reply_address& to, const wire::describe_topic_request& asked);
  void tell_name(topic_id id, const std::string& name);
  void unfence(const reply_address& to, const wire::describe_topic_request& asked);
  void unfenced(const reply_address& to, const cluster::topic& row);
  void ask_for(const cluster::topic& row, std::function<void(const log_described&)> then);
  /// The topic that is asked for; when there is none, the refusal is on its way. The journal goes
  /// by its name, for who looks after the node.
  [[nodiscard]] std::optional<cluster::topic> find(const reply_address& to,
                                                   const wire::describe_topic_request& asked);
  void open(const cluster::topic& row, continuation then);
  void append(std::vector<std::byte> entry, continuation then);
  void append_now(std::vector<std::byte> entry, continuation then);
  void sum_up_if_large();
  void sum_up();
  void end_sum();
  std::uint64_t remember(continuation then);
  void resume(std::uint64_t cookie, bool made, errc refusal);

  void reply(const reply_address& to, wire::command code, byte_view payload);
  void reply_json(const reply_address& to, const std::string& json);
  void refuse(const reply_address& to, errc code, const std::string& sentence);
  [[nodiscard]] storage::log_policy policy_of(const cluster::topic& row) const;
  [[nodiscard]] std::size_t shard_of(log_id log) const noexcept {
    return log.value % routes_.pollers.size();
  }
  [[nodiscard]] bool known(log_id log) const noexcept {
    return contents_.topics.find(topic_id{log.value}) != nullptr;
  }

  const metadata_options options_;
  journal_contents contents_;
  storage::data_dir& home_;
  runtime::real_clock clock_;
  metadata_routes routes_;
  std::uint64_t next_cookie_ = 1;
  std::unordered_map<std::uint64_t, continuation> waiting_;
  std::unordered_map<std::uint64_t, std::function<void(const log_described&)>> describing_;
  std::deque<std::function<void()>> changes_; // topic changes, planned one after the other
  bool changing_ = false;
  /// A deleted topic whose directory is not out of the way yet, by its name.
  struct vanishing {
    bool stuck = false; ///< the directory cannot be moved; the next start tries again
    std::vector<std::function<void()>> waiting; ///< to use the name again
  };
  std::unordered_map<std::string, vanishing> vanishing_;
  bool journal_behind_ = false; // the journal may hold entries that the tables here do not have
  bool disk_full_ = false;      // no new topics: each takes space
  std::uint64_t opening_ = 0;
  std::uint64_t opened_ = 0;
  std::uint64_t open_failed_ = 0;
  // summing up the journal
  std::uint64_t entries_since_look_ = 0;
  std::uint64_t appending_ = 0; // entries under way
  batch_number last_appended_;
  bool looking_ = false;
  bool holding_ = false; // entries wait in held_ until the sum is appended
  bool summing_up_ = false;
  bool sum_whole_ = true;
  std::size_t sum_size_ = 0;
  std::size_t sum_left_ = 0;
  batch_number sum_first_;
  std::deque<std::pair<std::vector<std::byte>, continuation>> held_; // one per connection at most
};

} // namespace lance::actors
