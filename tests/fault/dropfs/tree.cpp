#include "tests/fault/dropfs/tree.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <set>

namespace lance::fault {

namespace {

std::uint64_t space_of(std::uint64_t size) {
  return (size + block_bytes - 1) / block_bytes * block_bytes;
}

std::uint64_t space_below(const node& directory) {
  std::uint64_t sum = 0;
  for (const auto& [name, each] : directory.now)
    sum += each->directory ? space_below(*each) : space_of(each->data.size());
  return sum;
}

void tell_paths(node& directory) {
  for (const auto& [name, each] : directory.now) {
    each->path = directory.path.empty() ? name : directory.path + "/" + name;
    if (each->directory)
      tell_paths(*each);
  }
}

// What is durable becomes what is, from here downwards.
void fall_back(const node_ref& directory, chance random, cut_counts& counts,
               std::set<const node*>& seen) {
  directory->now = directory->durable;
  for (const auto& [name, each] : directory->now) {
    if (!seen.insert(each.get()).second)
      continue;
    each->above = directory;
    if (each->directory)
      fall_back(each, random, counts, seen);
    else
      each->data.cut(random, counts);
  }
}

node_ref copy_of(const node& original) {
  auto copied = std::make_shared<node>();
  copied->directory = original.directory;
  copied->mode = original.mode;
  copied->data = original.data;
  for (const auto& [name, each] : original.now)
    copied->now[name] = copy_of(*each);
  return copied;
}

} // namespace

tree::tree(std::uint64_t capacity) : capacity_(capacity), root_(std::make_shared<node>()) {
  root_->id = last_id_;
  root_->directory = true;
  root_->mode = 0755;
  root_->changed_s = std::time(nullptr);
}

node_ref tree::find(const node& directory, std::string_view name) const {
  const auto found = directory.now.find(name);
  return found == directory.now.end() ? nullptr : found->second;
}

void tree::apply(change what) {
  for (const auto& [directory, name, target] : what) {
    directory->changed_s = std::time(nullptr);
    if (target == nullptr) {
      directory->now.erase(name);
      continue;
    }
    directory->now[name] = target;
    target->above = directory;
    target->path = directory->path.empty() ? name : directory->path + "/" + name;
    if (target->directory)
      tell_paths(*target);
  }
  pending_.push_back(std::move(what));
}

void tree::harden(const change& what) {
  for (const auto& [directory, name, target] : what) {
    if (target == nullptr)
      directory->durable.erase(name);
    else
      directory->durable[name] = target;
  }
}

int tree::make(const node_ref& directory, const std::string& name, bool is_directory,
               std::uint32_t mode, node_ref& made) {
  if (find(*directory, name) != nullptr)
    return EEXIST;
  made = std::make_shared<node>();
  made->id = ++last_id_;
  made->directory = is_directory;
  made->mode = mode;
  made->changed_s = std::time(nullptr);
  apply({{directory, name, made}});
  return 0;
}

int tree::remove(const node_ref& directory, const std::string& name, bool is_directory) {
  const auto gone = find(*directory, name);
  if (gone == nullptr)
    return ENOENT;
  if (gone->directory != is_directory)
    return is_directory ? ENOTDIR : EISDIR;
  if (!gone->now.empty())
    return ENOTEMPTY;
  apply({{directory, name, nullptr}});
  return 0;
}

int tree::rename(const node_ref& from, const std::string& name, const node_ref& to,
                 const std::string& new_name, bool replace) {
  const auto moved = find(*from, name);
  if (moved == nullptr)
    return ENOENT;
  if (const auto there = find(*to, new_name); there != nullptr) {
    if (there == moved)
      return 0;
    if (!replace)
      return EEXIST;
    if (there->directory != moved->directory)
      return there->directory ? EISDIR : ENOTDIR;
    if (!there->now.empty())
      return ENOTEMPTY;
  }
  for (auto above = to; above != nullptr; above = above->above.lock())
    if (above == moved)
      return EINVAL;
  apply({{from, name, nullptr}, {to, new_name, moved}});
  return 0;
}

int tree::may_grow(const node& file, std::uint64_t bytes) const {
  const auto has = space_of(file.data.size());
  const auto wants = space_of(bytes);
  return wants > has && used() + (wants - has) > capacity_ ? ENOSPC : 0;
}

std::uint64_t tree::used() const {
  return space_below(*root_);
}

// Backwards: a change is due when it touches a directory that is due, and then so are its others.
void tree::sync_names(const node_ref& directory) {
  std::set<const node*> due{directory.get()};
  std::vector<bool> takes(pending_.size());
  for (auto i = pending_.size(); i-- > 0;) {
    const auto& what = pending_[i];
    takes[i] = std::any_of(what.begin(), what.end(),
                           [&](const effect& each) { return due.contains(each.directory.get()); });
    if (takes[i])
      for (const auto& each : what)
        due.insert(each.directory.get());
  }
  std::vector<change> left;
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    if (takes[i])
      harden(pending_[i]);
    else
      left.push_back(std::move(pending_[i]));
  }
  pending_ = std::move(left);
}

cut_counts tree::cut(chance random) {
  cut_counts counts;
  const auto keep = random == nullptr ? 0 : (*random)() % (pending_.size() + 1);
  for (std::size_t i = 0; i < keep; ++i)
    harden(pending_[i]);
  counts.names_kept = keep;
  counts.names_lost = pending_.size() - keep;
  pending_.clear();
  std::set<const node*> seen;
  fall_back(root_, random, counts, seen);
  tell_paths(*root_);
  return counts;
}

node_ref tree::copy() const {
  return copy_of(*root_);
}

} // namespace lance::fault
