// `lnc segment diff`: where two copies of a segment, or of all segments below two directories,
// differ. Replicas have the same bytes, so any difference is one too many.
#include <algorithm>
#include <map>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/cli/inspect_files.hpp"
#include "storage/examine.hpp"
#include "storage/layout.hpp"
#include "storage/posix_disk.hpp"

namespace lance::client::cli {

namespace {

using json = nlohmann::ordered_json;
using storage::examined_segment;
using storage::segment_state;

constexpr std::size_t piece_bytes = 1 * MiB;

struct difference {
  std::string a; ///< empty: this side has no such segment
  std::string b;
  std::uint64_t batch = 0;    ///< 0 when it cannot be told
  std::uint64_t position = 0; ///< of the first byte that differs, or that only one side has
  bool a_damaged = false;
  bool b_damaged = false;
  std::string reason;
};

// What counts as content: an active file is longer than what was written into it.
std::uint64_t extent(const examined_segment& found) {
  return found.closed || found.state == segment_state::damaged ? found.file_bytes
                                                               : found.batch_bytes;
}

std::uint64_t batch_at(const examined_segment& found, std::uint64_t position) {
  const auto at = std::find_if(found.batches.begin(), found.batches.end(),
                               [=](const auto& each) { return position < each.file_end(); });
  return at == found.batches.end() ? 0 : at->header.number.value;
}

// The position of the first byte in which they differ below `end`; `end` when they do not.
result<std::uint64_t> first_difference(storage::file& a, storage::file& b, std::uint64_t end) {
  std::vector<std::byte> of_a(piece_bytes), of_b(piece_bytes);
  for (std::uint64_t at = 0; at < end;) {
    const auto wanted = std::min<std::uint64_t>(piece_bytes, end - at);
    const auto got_a = a.read_now(at, {of_a.data(), wanted});
    if (!got_a)
      return tl::unexpected{got_a.error()};
    const auto got_b = b.read_now(at, {of_b.data(), wanted});
    if (!got_b)
      return tl::unexpected{got_b.error()};
    const auto both = std::min(*got_a, *got_b);
    const auto differs =
        std::mismatch(of_a.begin(), of_a.begin() + static_cast<long>(both), of_b.begin());
    if (differs.first != of_a.begin() + static_cast<long>(both))
      return at + static_cast<std::uint64_t>(differs.first - of_a.begin());
    if (both == 0)
      return at;
    at += both;
  }
  return end;
}

class comparison {
 public:
  explicit comparison(context& shared) : shared_(shared), door_(storage::make_posix_disk({})) {}

  exit_code run(const std::string& a, const std::string& b) {
    for (const auto& path : {a, b})
      if (!exists(path))
        return not_found(shared_, path);
    const auto of_a = by_name(a);
    const auto of_b = by_name(b);
    for (const auto& [name, path] : of_a) {
      const auto other = of_b.find(name);
      if (other == of_b.end())
        tell({path, {}, 0, 0, false, false, "only in " + a});
      else if (const auto compared = compare(path, other->second); !compared)
        return disk_trouble(shared_, path + ", " + other->second, compared.error());
    }
    for (const auto& [name, path] : of_b)
      if (!of_a.contains(name))
        tell({{}, path, 0, 0, false, false, "only in " + b});
    return differ_ ? exit_code::failed : exit_code::done;
  }

 private:
  // Segments by what makes them the same one: log directory and beginning of the name. A file alone
  // is compared with whatever the other side names.
  static std::map<std::string, std::string> by_name(const std::string& path) {
    const auto paths = segments_at(path);
    if (paths.size() == 1 && paths.front() == path)
      return {{"", path}};
    std::map<std::string, std::string> named;
    for (const auto& each : paths) {
      const auto inside = each.substr(path.size());
      const auto slash = inside.rfind('/');
      named[inside.substr(0, inside.find_first_of("-.", slash + 1))] = each;
    }
    return named;
  }

  result<> compare(const std::string& a, const std::string& b) {
    const auto found_a = storage::examine(*door_, a);
    if (!found_a)
      return tl::unexpected{found_a.error()};
    const auto found_b = storage::examine(*door_, b);
    if (!found_b)
      return tl::unexpected{found_b.error()};
    const auto file_a = door_->open(a, {.read_only = true});
    if (!file_a)
      return tl::unexpected{file_a.error()};
    const auto file_b = door_->open(b, {.read_only = true});
    if (!file_b)
      return tl::unexpected{file_b.error()};
    const auto common = std::min(extent(*found_a), extent(*found_b));
    const auto at = first_difference(**file_a, **file_b, common);
    if (!at)
      return tl::unexpected{at.error()};
    if (*at == common && extent(*found_a) == extent(*found_b))
      return {};
    difference found{a,
                     b,
                     0,
                     *at,
                     found_a->state == segment_state::damaged,
                     found_b->state == segment_state::damaged,
                     *at == common ? "one is longer" : "they differ"};
    found.batch = std::max(batch_at(*found_a, *at), batch_at(*found_b, *at));
    tell(found);
    return {};
  }

  void tell(const difference& found) {
    differ_ = true;
    if (shared_.json) {
      json told{{"a", found.a}, {"b", found.b}, {"reason", found.reason}};
      if (!found.a.empty() && !found.b.empty()) {
        told["position"] = found.position;
        if (found.batch != 0)
          told["batch"] = found.batch;
        told["damaged"] = json::array();
        if (found.a_damaged)
          told["damaged"].push_back("a");
        if (found.b_damaged)
          told["damaged"].push_back("b");
      }
      shared_.io.out.put(told.dump() + "\n");
      return;
    }
    if (found.a.empty() || found.b.empty()) {
      shared_.io.out.put(found.a + found.b + ": " + found.reason + "\n");
      return;
    }
    auto text = found.a + " " + found.b + ": " + found.reason + " from byte " +
                std::to_string(found.position) + " on";
    if (found.batch != 0)
      text += ", batch " + std::to_string(found.batch);
    if (found.a_damaged)
      text += "; " + found.a + " is damaged";
    if (found.b_damaged)
      text += "; " + found.b + " is damaged";
    shared_.io.out.put(text + "\n");
  }

  context& shared_;
  std::unique_ptr<storage::disk> door_;
  bool differ_ = false;
};

} // namespace

void add_diff(CLI::App& segment, context& shared) {
  auto* command = segment.add_subcommand("diff", "where two copies of segments differ");
  auto paths = std::make_shared<std::pair<std::string, std::string>>();
  command->add_option("a", paths->first, "a segment file, or a directory to search")->required();
  command->add_option("b", paths->second, "its other copy")->required();
  command->callback([&shared, paths] {
    shared.action = [&shared, paths] {
      return comparison{shared}.run(paths->first, paths->second);
    };
  });
}

} // namespace lance::client::cli
