// `lnc segment repair`: what storage/repair plans and does, in words.
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/cli/inspect_files.hpp"
#include "storage/layout.hpp"
#include "storage/posix_disk.hpp"
#include "storage/repair.hpp"

namespace lance::client::cli {

namespace {

using json = nlohmann::ordered_json;
using storage::repair_need;
using storage::repair_plan;

std::string_view to_text(repair_need need) noexcept {
  switch (need) {
  case repair_need::none:
    return "none";
  case repair_need::index:
    return "index";
  case repair_need::data:
    return "data";
  default:
    return "impossible";
  }
}

json described(const repair_plan& plan, bool done, const std::string& original) {
  json lost = json::array();
  for (const auto& each : plan.lost)
    lost.push_back({{"batch", each.number.value},
                    {"offset", each.offset.value},
                    {"end_offset", each.end.value}});
  json told{{"path", plan.path}, {"needed", to_text(plan.need)}, {"done", done}};
  told["kept_batches"] = plan.batches.size() - plan.lost.size();
  told["lost"] = lost;
  if (plan.cut) {
    told["log_ends_at_batch"] = plan.end_number.value;
    told["log_ends_at_offset"] = plan.end_offset.value;
  }
  if (!original.empty())
    told["original"] = original;
  return told;
}

std::string in_words(const repair_plan& plan, bool done, const std::string& original) {
  if (plan.need == repair_need::none)
    return plan.path + ": whole, nothing to repair\n";
  if (plan.need == repair_need::impossible)
    return plan.path + ": beyond repair, left as it is\n";
  const std::string will = done ? "" : "would be ";
  if (plan.need == repair_need::index)
    return plan.path + ": index " + will + "written anew\n";
  std::string text;
  for (const auto& each : plan.lost)
    text += plan.path + ": batch " + std::to_string(each.number.value) + " " + will +
            "given up: offsets " + std::to_string(each.offset.value) + " to " +
            std::to_string(each.end.value) + "\n";
  if (plan.cut)
    text += plan.path + ": all behind offset " + std::to_string(plan.end_offset.value) + " " +
            will + "given up: the log ends there\n";
  text += plan.path + ": " + std::to_string(plan.batches.size() - plan.lost.size()) +
          " whole batches " + will + "kept\n";
  if (!original.empty())
    text += "the original is " + original + "\n";
  return text;
}

exit_code repair(context& shared, const std::string& path, bool dry_run) {
  namespace layout = storage::layout;
  if (!exists(path))
    return not_found(shared, path);
  const auto door = storage::make_posix_disk({});
  std::unique_ptr<storage::file_lock> held;
  if (!lock_data_dir(*door, path, held))
    return broker_runs(shared, path);
  const auto plan = storage::plan_repair(*door, path);
  if (!plan && plan.error().code == errc::bad_format) {
    shared.complain(path + ": its name is not a segment's");
    return exit_code::usage;
  }
  if (!plan)
    return disk_trouble(shared, path, plan.error());
  const bool needed = plan->need == repair_need::index || plan->need == repair_need::data;
  const bool done = needed && !dry_run;
  std::string original;
  if (done) {
    const auto home = data_dir_of(*door, path);
    const auto aside = layout::join(home.empty() ? layout::parent(path) : home, "quarantine");
    auto repaired = storage::repair(*door, *plan, aside);
    if (!repaired)
      return disk_trouble(shared, path, repaired.error());
    original = std::move(*repaired);
  }
  shared.io.out.put(shared.json ? described(*plan, done, original).dump() + "\n"
                                : in_words(*plan, done, original));
  const bool damaged = plan->need == repair_need::data || plan->need == repair_need::impossible;
  return damaged && !done ? exit_code::damaged : exit_code::done;
}

} // namespace

void add_repair(CLI::App& segment, context& shared) {
  auto* command =
      segment.add_subcommand("repair", "keep what is whole, give up what is damaged, and say it");
  struct repair_options {
    std::string path;
    bool dry_run = false;
  };
  auto options = std::make_shared<repair_options>();
  command->add_option("path", options->path, "a segment file")->required();
  command->add_flag("--dry-run", options->dry_run, "say what would be done, change nothing");
  command->callback([&shared, options] {
    shared.action = [&shared, options] { return repair(shared, options->path, options->dry_run); };
  });
}

} // namespace lance::client::cli
