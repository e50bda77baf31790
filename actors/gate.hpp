// Who may do what: the one place that is asked before every opcode. Denies what it does not know.
// Pure; one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "actors/access_book.hpp"
#include "actors/caller.hpp"
#include "runtime/bytes.hpp"
#include "runtime/types.hpp"
#include "wire/control.hpp"

namespace lance::actors {

enum class verdict : std::uint8_t { allowed, not_authenticated, not_authorized };

/// The names of topics by id, kept by whoever owns a gate. Topic 0 is always there.
class topic_names {
 public:
  void add(topic_id id, std::string name) { names_[id.value] = std::move(name); }
  void remove(topic_id id) { names_.erase(id.value); }
  /// Empty when there is no such topic (here, yet).
  [[nodiscard]] std::string_view find(std::uint32_t id) const noexcept;

 private:
  std::unordered_map<std::uint32_t, std::string> names_;
};

/// What a command asks for.
struct demand {
  bool free = false;    ///< anybody may ask, always
  bool changes = false; ///< writes or changes something: asked for under write_only
  std::optional<cluster::right> right = {}; ///< on its topic; none: it is enough to be known
  bool any_right = false;                   ///< any right on its topic will do
};
[[nodiscard]] demand demand_of(wire::command code) noexcept;

/// May this caller append to the topic?
[[nodiscard]] verdict judge_ingest(const access_book& book, const caller& who, std::uint32_t topic,
                                   const topic_names& names) noexcept;

/// May it ask this? `topic` is set to the name of the topic it is about, when that is known. A
/// payload that cannot be read is allowed: who handles the command refuses it unread.
[[nodiscard]] verdict judge_request(const access_book& book, const caller& who, wire::command code,
                                    byte_view payload, const topic_names& names,
                                    std::string& topic);

} // namespace lance::actors
