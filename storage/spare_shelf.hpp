// Files of dropped segments, kept to be a log's next segments, and the bound on what all logs of a
// data directory may keep that way.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lance::storage {

/// Shared by the logs of a data directory; any thread. Outlives them.
class recycle_budget {
 public:
  explicit recycle_budget(std::uint64_t bytes) noexcept : limit_(bytes) {}
  recycle_budget(const recycle_budget&) = delete;
  recycle_budget& operator=(const recycle_budget&) = delete;

  /// False: that would be too much.
  [[nodiscard]] bool take(std::uint64_t bytes) noexcept;
  void give_back(std::uint64_t bytes) noexcept { held_.fetch_sub(bytes); }
  /// While the disk is short of space nothing more is kept: what is dropped then must make room.
  void hold(bool held) noexcept { on_hold_.store(held); }
  [[nodiscard]] std::uint64_t held_bytes() const noexcept { return held_.load(); }

 private:
  const std::uint64_t limit_;
  std::atomic<bool> on_hold_{false};
  std::atomic<std::uint64_t> held_{0};
};

/// One log's; on its thread. Holds names only: the files lie in the log's directory.
class spare_shelf {
 public:
  struct spare {
    std::string name;
    std::uint64_t bytes = 0;
  };

  /// Without a budget nothing is kept.
  spare_shelf(recycle_budget* budget, std::uint32_t most) noexcept : budget_(budget), most_(most) {}
  ~spare_shelf();
  spare_shelf(const spare_shelf&) = delete;
  spare_shelf& operator=(const spare_shelf&) = delete;

  /// Whether a file of this size may be kept. True reserves its place: put() or forgo() follows.
  [[nodiscard]] bool reserve(std::uint64_t bytes) noexcept;
  void put(spare kept);
  void forgo(std::uint64_t bytes) noexcept;
  [[nodiscard]] std::optional<spare> take();
  [[nodiscard]] std::size_t size() const noexcept { return kept_.size(); }

 private:
  recycle_budget* budget_;
  std::uint32_t most_;
  std::uint32_t reserved_ = 0;
  std::uint64_t reserved_bytes_ = 0;
  std::vector<spare> kept_;
};

} // namespace lance::storage
