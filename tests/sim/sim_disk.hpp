// A disk in memory that forgets what was not synced, and does all that disks do to people. Two
// users: the tests of storage/, which complete requests by hand and fail the nth one, and the
// simulator, which gives it a clock, rates of faults, and deaths.
//
// Crash model: per 512-byte sector, an unsynced write is there, an earlier one of the same sector
// is, or neither; requests under way may be there in part; a file's unsynced size is there or not;
// of the unsynced changes to a directory a random front is there (metadata is journaled). A failed
// sync loses data for good, although the next one succeeds.
//
// Cold deeds happen at once. Asynchronous requests wait until step() or settle() completes them,
// or, with `later`, until their time has come.
#pragma once

#include <cerrno>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "storage/file.hpp"
#include "tests/sim/faults.hpp"
#include "tests/sim/random_stream.hpp"
#include "tests/sim/sim_inode.hpp"
#include "tests/sim/trace.hpp"

namespace lance::sim {

/// For tests that want one certain failure: counts down; the request that finds 0 fails, once.
struct sim_faults {
  std::optional<unsigned> write_in;
  std::optional<unsigned> flush_in;
  std::optional<unsigned> read_in;
  bool no_new_files = false;      ///< until it is taken back
  bool page_cache_rotted = false; ///< what read() gets without O_DIRECT has a bit flipped
  int error = EIO;
};

/// For the simulator: how often what goes wrong, per million deeds.
struct sim_rates {
  std::uint64_t write_failed = 0;
  std::uint64_t read_failed = 0;
  std::uint64_t flush_failed = 0;
  std::uint64_t cold_failed = 0;
  std::uint64_t slow = 0;
  std::uint64_t flipped = 0;
};

class sim_disk final : public storage::disk {
 public:
  explicit sim_disk(std::uint64_t seed = 1)
      : latency_(seed, 101), faults_(seed, 102), crash_(seed, 103) {
    directories_.insert(".");
  }

  // -- what tests do to it -----------------------------------------------------------------------
  sim_faults faults;
  sim_rates rates;
  std::uint64_t capacity = ~std::uint64_t{0};
  bool hold_requests = true; ///< false: requests complete before write() and read() return
  std::function<void(const std::string& from, const std::string& to)> on_rename;
  /// Told of a write to, or a change of size of, a file by its present name.
  std::function<void(const std::string& name)> on_change;
  /// Told of a failed flush or sync, by the file's name.
  std::function<void(const std::string& name)> on_failed_flush;
  /// Runs the deed after so many nanoseconds of simulated time. Without it, step() does.
  std::function<void(std::uint64_t delay_ns, std::function<void()> deed)> later;
  trace* told = nullptr;
  fault_counts* counted = nullptr;
  std::uint64_t flushes = 0;
  std::uint64_t writes = 0;
  std::uint64_t written_bytes = 0;
  std::uint64_t buffered_read_bytes = 0; ///< by read(), of files opened without O_DIRECT

  /// Completes one request under way, chosen at random; false when there is none.
  bool step();
  void settle() {
    while (step()) {
    }
  }
  /// Power is lost. Open files are dead from now on; requests under way are forgotten, some of
  /// their bytes may be there.
  void crash();
  /// The process dies, the machine lives: requests under way are forgotten, nothing else.
  void kill() { forget_requests(); }

  /// From the nth deed from now on nothing has an effect any more: to die in the middle of
  /// something. Ended by crash() and kill().
  void die_in(std::uint64_t deeds) noexcept { deeds_left_ = deeds; }
  [[nodiscard]] bool dead() const noexcept { return dead_; }
  void die() noexcept { dead_ = true; }
  /// All reads under way end with an error, so that who waits for them can be destroyed.
  void cancel_reads();

  [[nodiscard]] sim_inode& inode(const std::string& path) { return *names_.at(path); }
  [[nodiscard]] std::vector<std::byte> content(const std::string& path);
  void overwrite(const std::string& path, std::uint64_t position, byte_view data);
  [[nodiscard]] std::uint64_t used() const;
  /// Whether the file has its present name after a loss of power too.
  [[nodiscard]] bool durable_name(const std::string& path) const {
    const auto kept = durable_names_.find(path);
    return kept != durable_names_.end() && kept->second == names_.at(path);
  }
  /// Paths of all files, sorted.
  [[nodiscard]] std::vector<std::string> files() const;

  // -- the door ----------------------------------------------------------------------------------
  result<std::unique_ptr<storage::file>> open(const std::string& path,
                                              const storage::open_options& how) override;
  result<> rename(const std::string& from, const std::string& to) override;
  result<> remove(const std::string& path) override;
  result<> remove_directory(const std::string& path) override;
  result<std::vector<std::string>> list(const std::string& directory) override;
  bool exists(const std::string& path) override {
    return names_.contains(path) || directories_.contains(path);
  }
  result<std::uint64_t> name_count(const std::string& path) override;
  /// A second name for a file, as a backup by hard links makes it.
  void link(const std::string& path, const std::string& other) {
    names_[other] = durable_names_[other] = names_.at(path);
  }
  result<> make_directories(const std::string& path) override;
  result<> sync_directory(const std::string& directory) override;
  result<storage::disk_space> space(const std::string&) override {
    return storage::disk_space{capacity, capacity - std::min(capacity, used())};
  }
  result<std::unique_ptr<storage::mapping>> map(const std::string& path) override;
  result<std::unique_ptr<storage::file_lock>> lock(const std::string& path) override;

 private:
  friend class sim_file;
  friend class sim_lock;
  using inode_ref = std::shared_ptr<sim_inode>;
  using name_map = std::map<std::string, inode_ref>;
  struct change { // a name made (from == to), moved, or removed (to empty)
    std::string from;
    std::string to;
    inode_ref inode;
  };
  struct write_under_way {
    const storage::write_request* request;
    inode_ref inode;
    std::vector<std::pair<std::uint64_t, std::vector<std::byte>>> parts;
  };

  void note(std::string_view event, std::initializer_list<std::uint64_t> values = {}) {
    if (told != nullptr)
      told->note(event, values);
  }
  void count(fault kind) {
    if (counted != nullptr)
      counted->note(kind);
  }
  /// Counts a deed; false when the machine is dead.
  bool lives();
  /// A cold deed's luck: an error when it fails.
  result<> luck();
  [[nodiscard]] std::uint64_t latency(std::uint64_t usual_ns);
  void run(std::uint64_t usual_ns, std::function<void()> deed);
  bool count_down(std::optional<unsigned>& counter);
  void apply(const change& one);
  void keep_some_names();
  void tear_writes();
  void forget_requests();
  result<> rename_directory(const std::string& from, const std::string& to);

  random_stream latency_;
  random_stream faults_;
  random_stream crash_;
  name_map names_;
  name_map durable_names_;
  std::set<std::string> directories_;
  std::set<std::string> durable_directories_{"."};
  std::deque<change> pending_;
  std::vector<std::function<void()>> under_way_;
  std::deque<write_under_way> writes_under_way_;
  std::vector<storage::read_request*> reads_under_way_;
  std::set<std::string> locks_;
  std::uint64_t generation_ = 0;
  std::uint64_t deeds_left_ = ~std::uint64_t{0};
  bool dead_ = false;
};

} // namespace lance::sim
