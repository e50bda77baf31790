// The names of dropfs, twice: as they look now, and as a power cut would leave them. A change of
// names is visible at once and durable when one of its directories is synced, together with the
// earlier changes it builds upon; file data is content's business. Not thread-safe: the file
// system's one lock guards it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/fault/dropfs/content.hpp"

namespace lance::fault {

struct node;
using node_ref = std::shared_ptr<node>;
using name_map = std::map<std::string, node_ref, std::less<>>;

struct node {
  std::uint64_t id = 0;
  bool directory = false;
  std::uint32_t mode = 0; // permission bits; not part of what a cut forgets
  std::int64_t changed_s = 0;
  std::string path; // below the mount, where it was last seen; what rules match
  content data;     // of a file
  name_map now;     // of a directory
  name_map durable;
  std::weak_ptr<node> above;
};

class tree {
 public:
  /// capacity: bytes of all files together, each rounded up to blocks.
  explicit tree(std::uint64_t capacity);

  [[nodiscard]] const node_ref& root() const noexcept { return root_; }
  [[nodiscard]] node_ref find(const node& directory, std::string_view name) const;

  // Each of these gives 0 or an errno, like the call it is named after.
  int make(const node_ref& directory, const std::string& name, bool is_directory,
           std::uint32_t mode, node_ref& made);
  int remove(const node_ref& directory, const std::string& name, bool is_directory);
  int rename(const node_ref& from, const std::string& name, const node_ref& to,
             const std::string& new_name, bool replace);
  /// ENOSPC when the file cannot grow to that size.
  [[nodiscard]] int may_grow(const node& file, std::uint64_t bytes) const;

  void sync_names(const node_ref& directory);
  /// What a power cut leaves: of the unsynced changes a random front, of each file what content
  /// says. What no name leads to any more is gone.
  cut_counts cut(chance random);
  /// A copy of all that is there now, for looking at later; shares its blocks.
  [[nodiscard]] node_ref copy() const;

  [[nodiscard]] std::uint64_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::uint64_t used() const;
  [[nodiscard]] std::size_t unsynced_changes() const noexcept { return pending_.size(); }

 private:
  struct effect {
    node_ref directory;
    std::string name;
    node_ref target; // null: the name goes
  };
  using change = std::vector<effect>;

  void apply(change what); // now, and later durably
  static void harden(const change& what);

  std::uint64_t capacity_;
  std::uint64_t last_id_ = 1;
  node_ref root_;
  std::vector<change> pending_;
};

} // namespace lance::fault
