#include "storage/repair.hpp"

#include <algorithm>
#include <array>

#include "runtime/check.hpp"
#include "storage/batch_walk.hpp"
#include "storage/index_file.hpp"
#include "storage/layout.hpp"
#include "storage/recovery.hpp"
#include "storage/segment_files.hpp"

namespace lance::storage {

namespace {

constexpr std::size_t piece_bytes = 256 * KiB;

std::string name_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

std::uint32_t sum_of_zeros(wire::checksum_kind kind, std::uint64_t count) noexcept {
  std::uint32_t sum = 0;
  for (std::uint64_t done = 0; done < count;) {
    const auto some = std::min<std::uint64_t>(zeros().size(), count - done);
    sum = wire::checksum_update(kind, sum, zeros().first(some));
    done += some;
  }
  return sum;
}

// -- planning ------------------------------------------------------------------------------------

class planning {
 public:
  planning(disk& door, const std::string& path, const layout::file_name& name)
      : door_(door), directory_(layout::parent(path)), name_(name) {
    plan_.path = path;
    plan_.segment = name.segment;
    plan_.closed = name.kind == layout::file_kind::closed_segment;
  }
  result<repair_plan> run();

 private:
  result<> learn_extent();
  result<> judge();
  result<> walk_on();
  result<> fill_up();
  void conclude();

  disk& door_;
  std::string directory_;
  layout::file_name name_;
  repair_plan plan_;
  std::unique_ptr<file> data_;
  std::unique_ptr<mapping> index_;
  segment_facts facts_; // of what the index vouches for, or of what can be walked without one
  segment_verdict verdict_;
  bool blank_ = false; // it begins with zeros
};

result<repair_plan> planning::run() {
  auto opened = door_.open(plan_.path, {.read_only = true});
  if (!opened)
    return tl::unexpected(opened.error());
  data_ = std::move(*opened);
  index_ = load_index(door_, layout::join(directory_, layout::index_name(name_.segment)));
  if (auto learnt = learn_extent(); !learnt)
    return tl::unexpected(learnt.error());
  if (auto judged = judge(); !judged)
    return tl::unexpected(judged.error());
  conclude();
  return std::move(plan_);
}

// How far the segment reached, by its index when that can be believed, else by its headers.
result<> planning::learn_extent() {
  const auto size = data_->size();
  if (!size)
    return tl::unexpected(size.error());
  plan_.file_bytes = *size;
  const auto told = index_ ? index_->bytes() : byte_view{};
  const auto head = decode_index_header(told);
  std::array<std::byte, batch_header_bytes> first{};
  const auto got = data_->read_now(0, first);
  if (!got)
    return tl::unexpected(got.error());
  const auto header = decode(byte_view{first}.first(*got));
  if (head && head->first_number == name_.segment.first)
    plan_.log = head->log;
  else if (header && header->number == name_.segment.first)
    plan_.log = header->log;
  blank_ = std::all_of(first.begin(), first.end(), [](auto byte) { return byte == std::byte{0}; });
  const encoded_index entries{believable_entries(told, plan_.log, name_.segment)};
  facts_.id = name_.segment;
  facts_.last_ns = name_.last_ns;
  facts_.file_bytes = plan_.file_bytes;
  if (entries.size() > 0 && entries.entry(entries.size() - 1).file_end() <= plan_.file_bytes) {
    const auto last = entries.entry(entries.size() - 1);
    facts_.batches = entries.size();
    facts_.first_offset = entries.entry(0).offset;
    facts_.end_offset = last.end_offset();
    // The rest of an active file is judged by walking on.
    if (!plan_.closed)
      facts_.file_bytes = last.file_end();
    return {};
  }
  batch_walk walk{*data_, plan_.log, name_.segment, false};
  while (true) {
    const auto batch = walk.next();
    if (!batch)
      return tl::unexpected(batch.error());
    if (!*batch)
      break;
    ++facts_.batches;
    facts_.end_offset = (*batch)->header.end_offset();
  }
  if (!plan_.closed)
    facts_.file_bytes = walk.position();
  else if (walk.position() < plan_.file_bytes)
    ++facts_.batches; // at least one more, which does not hold
  return {};
}

result<> planning::judge() {
  segment_judge judge{plan_.log, facts_, index_ ? index_->bytes() : byte_view{},
                      [this](const judged_batch& each) { plan_.batches.push_back(each); }};
  std::vector<std::byte> piece(piece_bytes);
  while (judge.position() < facts_.file_bytes) {
    const auto room = std::min<std::uint64_t>(piece.size(), facts_.file_bytes - judge.position());
    const auto got = data_->read_now(judge.position(), {piece.data(), room});
    if (!got)
      return tl::unexpected(got.error());
    if (*got == 0)
      break;
    judge.feed({piece.data(), *got});
  }
  judge.finish();
  verdict_ = judge.verdict();
  if (verdict_.lost_way)
    return fill_up();
  return plan_.closed ? result<>{} : walk_on();
}

// Behind what the index of an active segment vouches for: batches that hold are part of the log,
// what comes then is a torn tail for the next start to set aside.
result<> planning::walk_on() {
  batch_walk walk{*data_, plan_.log, name_.segment, true};
  if (!plan_.batches.empty())
    walk.skip_to_after(plan_.batches.size() - 1, plan_.batches.back().entry);
  while (true) {
    const auto batch = walk.next();
    if (!batch)
      return tl::unexpected(batch.error());
    if (!*batch)
      return {};
    plan_.batches.push_back(
        {(*batch)->header.number, entry_of(**batch), (*batch)->header.flags, true, true});
  }
}

// The segment is legible up to some batch only. If another follows, its first header says how many
// batches, bytes and records are missing; so many lost batches take their place.
result<> planning::fill_up() {
  plan_.cut = true;
  if (plan_.batches.empty()) {
    plan_.need = repair_need::impossible;
    return {};
  }
  const auto names = door_.list(directory_);
  if (!names)
    return tl::unexpected(names.error());
  std::string next;
  for (const auto& name : *names) {
    const auto parsed = layout::parse(name);
    const bool is_segment = parsed.kind == layout::file_kind::active_segment ||
                            parsed.kind == layout::file_kind::closed_segment;
    if (is_segment && parsed.segment.first > name_.segment.first && next.empty())
      next = name;
  }
  if (next.empty())
    return {};
  const auto follower = door_.open(layout::join(directory_, next), {.read_only = true});
  if (!follower)
    return tl::unexpected(follower.error());
  batch_walk walk{**follower, plan_.log, layout::parse(next).segment, false};
  const auto found = walk.next();
  if (!found)
    return tl::unexpected(found.error());
  plan_.need = repair_need::impossible; // unless all adds up
  if (!*found)
    return {};
  const auto& header = (*found)->header;
  auto last = plan_.batches.back().entry;
  auto number = batch_number{name_.segment.first.value + plan_.batches.size()};
  auto bytes = header.offset.value - std::min(header.offset, last.end_offset()).value;
  auto records = header.first_record.value - std::min(header.first_record, last.end_record()).value;
  if (header.number <= number || header.offset < last.end_offset() ||
      header.first_record < last.end_record())
    return {};
  for (; number < header.number; number = batch_number{number.value + 1}) {
    index_entry lost;
    lost.position = static_cast<std::uint32_t>(last.file_end());
    lost.offset = last.end_offset();
    lost.first_record = last.end_record();
    lost.in_term = last.in_term;
    lost.append_time_ns = last.append_time_ns;
    lost.key = {last.key.high, last.key.low + 1};
    lost.payload_length = static_cast<std::uint32_t>(std::min(bytes, max_payload_bytes));
    lost.record_count = static_cast<std::uint32_t>(std::min<std::uint64_t>(records, 0xffff'ffff));
    if (plan_.closed && number.value + 1 == header.number.value)
      lost.append_time_ns = name_.last_ns;
    if (lost.key <= last.key || lost.key >= header.key || lost.file_end() > max_segment_bytes)
      return {};
    bytes -= lost.payload_length;
    records -= lost.record_count;
    plan_.batches.push_back({number, lost, 0, false, false});
    last = lost;
  }
  if (bytes > 0 || records > 0)
    return {};
  plan_.need = repair_need::none;
  plan_.cut = false;
  return {};
}

void planning::conclude() {
  for (const auto& each : plan_.batches)
    if (!each.whole)
      plan_.lost.push_back({each.number, each.entry.offset, each.entry.end_offset()});
  plan_.end_number = batch_number{name_.segment.first.value + plan_.batches.size()};
  plan_.end_offset =
      plan_.batches.empty() ? byte_offset{} : plan_.batches.back().entry.end_offset();
  if (plan_.need == repair_need::impossible)
    return;
  if (plan_.batches.empty() && !(blank_ && !plan_.closed))
    plan_.need = repair_need::impossible;
  else if (!plan_.lost.empty() || plan_.cut)
    plan_.need = repair_need::data;
  else if (plan_.batches.empty())
    plan_.need = repair_need::none; // an active segment without a batch yet
  else if (verdict_.index_wrong)
    plan_.need = repair_need::index;
}

// -- doing ---------------------------------------------------------------------------------------

class repairing {
 public:
  repairing(disk& door, const repair_plan& plan)
      : door_(door), plan_(plan), directory_(layout::parent(plan.path)) {}
  result<std::string> run(const std::string& aside);

 private:
  result<> write();
  result<> copy_payload(const index_entry& from, std::uint64_t to);
  result<batch_header> header_of_batch(const judged_batch& each);

  disk& door_;
  const repair_plan& plan_;
  std::string directory_;
  std::unique_ptr<file> from_;
  std::unique_ptr<file> to_;
  std::vector<index_entry> entries_;
  std::uint64_t last_ns_ = 0;
};

result<std::string> repairing::run(const std::string& aside) {
  auto opened = door_.open(plan_.path, {.read_only = true});
  if (!opened)
    return tl::unexpected(opened.error());
  from_ = std::move(*opened);
  const auto fresh = plan_.path + ".repair";
  std::string kept;
  auto place = plan_.path;
  if (plan_.need == repair_need::data) {
    auto target = door_.open(fresh, {.create = true});
    if (!target)
      return tl::unexpected(target.error());
    to_ = std::move(*target);
    if (const auto done = write(); !done)
      return tl::unexpected(done.error());
    to_.reset();
    if (const auto made = door_.make_directories(aside); !made)
      return tl::unexpected(made.error());
    auto copied =
        copy_aside(door_, *from_, 0, plan_.file_bytes, aside, name_of(plan_.path) + ".damaged");
    if (!copied)
      return copied;
    kept = std::move(*copied);
    if (plan_.closed)
      place = layout::join(directory_, layout::closed_name(plan_.segment, last_ns_));
    if (const auto renamed = door_.rename(fresh, place); !renamed)
      return tl::unexpected(renamed.error());
    if (place != plan_.path)
      if (const auto removed = door_.remove(plan_.path); !removed)
        return tl::unexpected(removed.error());
  } else {
    for (const auto& each : plan_.batches)
      entries_.push_back(each.entry);
  }
  if (const auto written =
          write_index(door_, layout::join(directory_, layout::index_name(plan_.segment)), plan_.log,
                      plan_.segment, entry_list{entries_}, 0);
      !written)
    return tl::unexpected(written.error());
  if (const auto synced = door_.sync_directory(directory_); !synced)
    return tl::unexpected(synced.error());
  return kept;
}

result<batch_header> repairing::header_of_batch(const judged_batch& each) {
  if (each.header_holds) {
    std::array<std::byte, batch_header_bytes> bytes{};
    const auto got = from_->read_now(each.entry.position, bytes);
    if (!got)
      return tl::unexpected(got.error());
    return decode(byte_view{bytes}.first(*got));
  }
  const auto& entry = each.entry;
  batch_header header;
  header.flags = entry.control ? batch_flag::control : std::uint16_t{0};
  if (each.number == plan_.segment.first)
    header.flags |= batch_flag::starts_segment;
  header.log = plan_.log;
  header.number = each.number;
  header.in_term = entry.in_term;
  header.offset = entry.offset;
  header.first_record = entry.first_record;
  header.record_count = entry.record_count;
  header.payload_length = entry.payload_length;
  header.key = entry.key;
  header.append_time_ns = entry.append_time_ns;
  return header;
}

result<> repairing::write() {
  if (const auto emptied = to_->truncate(0); !emptied)
    return emptied;
  auto previous = chain_seed(plan_.log, plan_.segment.first);
  std::array<std::byte, batch_header_bytes> bytes{};
  std::uint64_t position = 0;
  for (const auto& each : plan_.batches) {
    auto header = header_of_batch(each);
    if (!header)
      return tl::unexpected(header.error());
    if (!each.whole) {
      header->flags |= batch_flag::lost;
      header->payload_crc = sum_of_zeros(header->payload_sum(), header->payload_length);
    }
    encode(*header, previous, bytes.data());
    previous = header->header_crc;
    const sealed_batch placed{*header, plan_.segment, position};
    if (const auto done = to_->write_now(position, bytes); !done)
      return done;
    if (each.whole)
      if (const auto done = copy_payload(each.entry, position + batch_header_bytes); !done)
        return done;
    entries_.push_back(entry_of(placed));
    position = placed.file_end();
    last_ns_ = header->append_time_ns;
  }
  if (const auto sized = to_->truncate(position); !sized) // a lost payload at the end is a hole
    return sized;
  return to_->sync();
}

result<> repairing::copy_payload(const index_entry& from, std::uint64_t to) {
  std::vector<std::byte> piece(std::min<std::size_t>(piece_bytes, from.payload_length));
  for (std::uint64_t done = 0; done < from.payload_length;) {
    const auto wanted = std::min<std::uint64_t>(piece.size(), from.payload_length - done);
    const auto got = from_->read_now(from.payload_position() + done, {piece.data(), wanted});
    if (!got)
      return tl::unexpected(got.error());
    if (*got == 0)
      return fail(errc::corrupt);
    if (const auto put = to_->write_now(to + done, {piece.data(), *got}); !put)
      return put;
    done += *got;
  }
  return {};
}

} // namespace

result<repair_plan> plan_repair(disk& door, const std::string& path) {
  const auto name = layout::parse(name_of(path));
  if (name.kind != layout::file_kind::active_segment &&
      name.kind != layout::file_kind::closed_segment)
    return fail(errc::bad_format);
  return planning{door, path, name}.run();
}

result<std::string> repair(disk& door, const repair_plan& plan, const std::string& aside) {
  LANCE_CHECK(plan.need == repair_need::index || plan.need == repair_need::data);
  return repairing{door, plan}.run(aside);
}

} // namespace lance::storage
