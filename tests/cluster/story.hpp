// The interpreter of tests/cluster/scripts: a small cluster of raft cores that does nothing by
// itself. A story says who times out, which messages arrive and which disk syncs, and what must be
// seen then. tests/cluster/scripts/README.md has the words.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/sim/model_member.hpp"

namespace lance::story {

class cluster_story {
 public:
  cluster_story();
  /// Does one line and tells what it changed: a line per member that is another than before.
  /// A word that is not understood is told as "error: ...".
  std::string perform(const std::string& line);

 private:
  struct node {
    std::unique_ptr<sim::model_member> member;
    std::uint64_t now_ns = 1'000'000'000;
    std::uint64_t random = 0;
    bool syncs = true;
    std::vector<std::string> news; // what it said to its owner since the last line
  };
  using words = std::vector<std::string>;

  [[nodiscard]] static std::uint64_t number(const std::string& word);
  node& at(const std::string& word);
  [[nodiscard]] cluster::moment moment_of(const node& which) const;
  void make(std::uint64_t id);
  void saw(std::uint64_t id, const cluster::raft_output& out);
  [[nodiscard]] std::string state(std::uint64_t id) const;
  [[nodiscard]] std::string describe(const sim::letter& one) const;
  [[nodiscard]] bool chosen(const sim::letter& one, const words& given) const;
  [[nodiscard]] bool is_cut(const sim::letter& one) const;

  bool set_up(const words& given);
  bool move_time(const words& given);
  bool move_letters(const words& given);
  bool ask(const words& given, std::string& told);
  bool harm(const words& given);
  bool show(const words& given, std::string& told) const;
  void start_all();
  void deliver(const sim::letter& one);
  bool sync(node& which);
  void settle();

  cluster::raft_options options_;
  cluster::membership members_;
  std::map<std::uint64_t, node> nodes_;
  std::vector<sim::letter> on_the_way_;
  std::vector<sim::letter> held_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> cut_; // from, to
  std::uint64_t next_id_ = 1;
  bool started_ = false;
};

} // namespace lance::story
