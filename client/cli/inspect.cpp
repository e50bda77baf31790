#include "client/cli/inspect.hpp"

#include <filesystem>
#include <memory>
#include <system_error>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/cli/inspect_files.hpp"
#include "client/cli/progress.hpp"
#include "client/cli/units.hpp"
#include "storage/examine.hpp"
#include "storage/index_file.hpp"
#include "storage/layout.hpp"
#include "storage/posix_disk.hpp"
#include "storage/recovery.hpp"

namespace lance::client::cli {

namespace {

using storage::examine;
using storage::examined_segment;
using storage::segment_state;
using json = nlohmann::ordered_json;

// --- verify --------------------------------------------------------------------------------------

json described(const examined_segment& found) {
  json told{{"path", found.path}, {"state", storage::to_text(found.state)}};
  if (!found.problem.empty())
    told["problem"] = found.problem;
  if (found.batches.empty())
    return told;
  const auto& first = found.batches.front().header;
  const auto& last = found.batches.back().header;
  told["closed"] = found.closed;
  told["index"] = storage::to_text(found.index);
  told["log"] = found.log.value;
  told["batches"] = found.batches.size();
  told["records"] = found.records();
  told["bytes"] = found.batch_bytes;
  told["first_batch"] = first.number.value;
  told["offset"] = first.offset.value;
  told["end_offset"] = last.end_offset().value;
  told["first_record"] = first.first_record.value;
  return told;
}

std::string line_of(const examined_segment& found) {
  auto text = std::string{storage::to_text(found.state)} + "  " + found.path;
  if (!found.batches.empty())
    text += ": " + std::to_string(found.batches.size()) + " batches, " +
            std::to_string(found.records()) + " records, " + show_bytes(found.batch_bytes) +
            ", index " + std::string{storage::to_text(found.index)};
  if (!found.problem.empty())
    text += "; " + found.problem;
  return text + "\n";
}

// Segments of one log follow one another; the first may begin anywhere (retention).
void check_succession(examined_segment& found, const std::optional<examined_segment>& before) {
  if (!before || found.batches.empty() || before->batches.empty() ||
      storage::layout::parent(before->path) != storage::layout::parent(found.path))
    return;
  if (before->end_number() != found.segment.first) {
    found.state = segment_state::damaged;
    found.problem = "it does not follow the segment before it, which ends with batch " +
                    std::to_string(before->end_number().value - 1);
  }
}

// 0 for what is not there any more: the bar is for people.
std::uint64_t size_of(const std::string& path) {
  std::error_code gone;
  const auto size = std::filesystem::file_size(path, gone);
  return gone ? 0 : size;
}

exit_code verify(context& shared, const std::string& path) {
  if (!exists(path))
    return not_found(shared, path);
  const auto door = storage::make_posix_disk({});
  const auto paths = segments_at(path);
  std::optional<examined_segment> before;
  std::size_t damaged = 0;
  std::size_t wrong_indexes = 0;
  std::uint64_t total = 0;
  for (const auto& one : paths)
    total += size_of(one);
  std::uint64_t done = 0;
  progress bar{shared, "verify"};
  for (const auto& one : paths) {
    bar.show(done, total);
    auto found = examine(*door, one);
    done += size_of(one);
    bar.clear(); // a line comes where it stands
    if (!found)
      return disk_trouble(shared, one, found.error());
    check_succession(*found, before);
    if (found->state == segment_state::damaged)
      ++damaged; // the index cannot be held against what is not there
    else if (found->index == storage::index_state::wrong)
      ++wrong_indexes;
    shared.io.out.put(shared.json ? described(*found).dump() + "\n" : line_of(*found));
    before = std::move(*found);
  }
  if (paths.empty())
    shared.notice(path + ": no segments here");
  if (damaged > 0)
    shared.complain(std::to_string(damaged) + " of " + std::to_string(paths.size()) +
                    " segments damaged");
  if (wrong_indexes > 0)
    shared.complain(std::to_string(wrong_indexes) + " of " + std::to_string(paths.size()) +
                    " indexes wrong; rebuild-index makes them anew, as a running broker does");
  return damaged + wrong_indexes > 0 ? exit_code::damaged : exit_code::done;
}

// --- dump ----------------------------------------------------------------------------------------

json described(const storage::sealed_batch& batch) {
  const auto& header = batch.header;
  json told{{"batch", header.number.value},
            {"position", batch.position},
            {"offset", header.offset.value},
            {"payload_bytes", header.payload_length},
            {"record", header.first_record.value},
            {"records", header.record_count},
            {"term", header.in_term.value},
            {"time_ns", header.append_time_ns},
            {"node", header.key.node().value},
            {"sequence", header.key.sequence()},
            {"payload_crc", header.payload_crc},
            {"header_crc", header.header_crc},
            {"control", header.has(storage::batch_flag::control)},
            {"compressed_at_source", header.has(storage::batch_flag::source_compressed)}};
  if (header.producer_id != 0) {
    told["producer"] = header.producer_id;
    told["producer_epoch"] = header.producer_epoch;
    told["producer_sequence"] = header.producer_sequence;
  }
  return told;
}

std::string line_of(const storage::sealed_batch& batch) {
  const auto& header = batch.header;
  std::string text;
  const auto column = [&](std::uint64_t number, std::size_t width) {
    const auto digits = std::to_string(number);
    text.append(width > digits.size() ? width - digits.size() : 1, ' ') += digits;
  };
  column(header.number.value, 10);
  column(batch.position, 12);
  column(header.offset.value, 16);
  column(header.payload_length, 10);
  column(header.first_record.value, 14);
  column(header.record_count, 9);
  column(header.in_term.value, 6);
  text += "  " + show_time(header.append_time_ns / s_in_ns);
  return text + (header.has(storage::batch_flag::control) ? "  control\n" : "\n");
}

exit_code dump(context& shared, const std::string& path) {
  if (!exists(path))
    return not_found(shared, path);
  const auto door = storage::make_posix_disk({});
  const auto found = examine(*door, path);
  if (!found)
    return disk_trouble(shared, path, found.error());
  auto& out = shared.io.out;
  if (!shared.json)
    out.put(
        "     BATCH    POSITION          OFFSET     BYTES        RECORD    COUNT  TERM  TIME\n");
  for (const auto& batch : found->batches)
    out.put(shared.json ? described(batch).dump() + "\n" : line_of(batch));
  if (!found->problem.empty())
    shared.complain(path + ": " + found->problem);
  return found->state == segment_state::damaged ? exit_code::damaged : exit_code::done;
}

// --- rebuild-index -------------------------------------------------------------------------------

exit_code rebuild_index(context& shared, const std::string& path) {
  if (!exists(path))
    return not_found(shared, path);
  const auto door = storage::make_posix_disk({});
  std::unique_ptr<storage::file_lock> held;
  if (!lock_data_dir(*door, path, held))
    return broker_runs(shared, path);
  const auto found = examine(*door, path);
  if (!found)
    return disk_trouble(shared, path, found.error());
  if (found->state == segment_state::damaged) { // the old index tells how far it was durable
    shared.complain(path + ": " + found->problem + "; its index is left as it is");
    return exit_code::damaged;
  }
  if (found->batches.empty()) {
    shared.notice(path + ": no batch yet, no index to build");
    return exit_code::done;
  }
  const auto entries = found->entries();
  const auto written = storage::write_index(*door, found->index_path(), found->log, found->segment,
                                            storage::entry_list{entries}, 0);
  if (!written) {
    shared.complain(found->index_path() + ": cannot be written");
    return exit_code::failed;
  }
  const json told{{"index", found->index_path()}, {"entries", entries.size()}};
  shared.io.out.put(shared.json ? told.dump() + "\n"
                                : found->index_path() + ": " + std::to_string(entries.size()) +
                                      " entries\n");
  return exit_code::done;
}

using path_deed = exit_code (*)(context&, const std::string&);

void add_deed(CLI::App& segment, context& shared, const std::string& name, const std::string& help,
              const std::string& path_help, path_deed deed) {
  auto* command = segment.add_subcommand(name, help);
  auto path = std::make_shared<std::string>();
  command->add_option("path", *path, path_help)->required();
  command->callback([&shared, path, deed] {
    shared.action = [&shared, path, deed] { return deed(shared, *path); };
  });
}

} // namespace

void add_segment(CLI::App& app, context& shared) {
  auto* segment = app.add_subcommand("segment", "look into the files of a stopped broker");
  segment->require_subcommand(1);
  add_deed(*segment, shared, "verify", "check every header, payload and index",
           "a segment file, or a directory to search", verify);
  add_deed(*segment, shared, "dump", "a line per batch", "a segment file", dump);
  add_repair(*segment, shared);
  add_deed(*segment, shared, "rebuild-index", "write a segment's index anew", "a segment file",
           rebuild_index);
  add_diff(*segment, shared);
}

} // namespace lance::client::cli
