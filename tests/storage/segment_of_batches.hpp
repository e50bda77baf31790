// A segment file and its index made of batches of given sizes, without a log around them.
#pragma once

#include <vector>

#include "bench_of_log.hpp"
#include "memory_file.hpp"
#include "storage/index_file.hpp"
#include "storage/layout.hpp"
#include "storage/segment.hpp"

namespace lance::storage::testing {

class bytes_mapping final : public mapping {
 public:
  explicit bytes_mapping(byte_view bytes) : bytes_(bytes) {}
  [[nodiscard]] byte_view bytes() const noexcept override { return bytes_; }

 private:
  byte_view bytes_;
};

struct segment_of_batches {
  explicit segment_of_batches(const std::vector<std::size_t>& sizes, log_id of = log_id{7},
                              std::uint64_t first = 41)
      : log(of) {
    batch_header header;
    header.log = log;
    header.number = batch_number{first};
    header.in_term = term{3};
    header.offset = byte_offset{5000};
    header.first_record = record_number{100};
    header.append_time_ns = 1'000'000;
    header.key = wire::sort_key::make(header.append_time_ns, node_id{1}, 0, 1);
    facts.id = {header.number, header.append_time_ns};
    facts.first_offset = header.offset;
    facts.first_record = header.first_record;
    auto previous = chain_seed(log, header.number);
    for (const auto size : sizes) {
      const auto payload = payload_of(header.number.value, size);
      header.flags = data.bytes.empty() ? batch_flag::starts_segment : std::uint16_t{0};
      header.payload_length = static_cast<std::uint32_t>(size);
      header.record_count = 2;
      header.payload_crc = wire::checksum(header.payload_sum(), payload);
      sealed_batch batch{header, facts.id, data.bytes.size()};
      data.bytes.resize(batch.file_end());
      encode(batch.header, previous, data.bytes.data() + batch.position);
      std::copy(payload.begin(), payload.end(),
                data.bytes.begin() +
                    static_cast<std::ptrdiff_t>(batch.position + batch_header_bytes));
      previous = batch.header.header_crc;
      batches.push_back(batch);
      header.number = batch_number{header.number.value + 1};
      header.offset = batch.header.end_offset();
      header.first_record = batch.header.end_record();
      header.append_time_ns += 1000;
      header.key = wire::sort_key::make(header.append_time_ns, node_id{1}, 0, batches.size() + 1);
    }
    const auto& last = batches.back().header;
    facts.last_ns = last.append_time_ns;
    facts.file_bytes = data.bytes.size();
    facts.batches = batches.size();
    facts.end_offset = last.end_offset();
    facts.end_record = last.end_record();
    index.resize(index_header_bytes + batches.size() * index_entry_bytes);
    encode(header_of(log, facts.id, entry_of(batches.front())), index.data());
    for (std::size_t n = 0; n < batches.size(); ++n)
      encode(entry_of(batches[n]), index.data() + index_header_bytes + n * index_entry_bytes);
  }

  [[nodiscard]] std::string closed_name() const {
    return layout::closed_name(facts.id, facts.last_ns);
  }
  [[nodiscard]] std::string active_name() const { return layout::active_name(facts.id); }

  log_id log;
  segment_facts facts;
  memory_file data;
  std::vector<std::byte> index;
  std::vector<sealed_batch> batches;
};

/// Sizes that fill about `bytes` of file, from none to a few KiB each.
inline std::vector<std::size_t> mixed_sizes(std::size_t bytes) {
  std::vector<std::size_t> sizes;
  constexpr std::size_t pattern[] = {700, 0, 3000, 1, 112, 4096, 90, 2500};
  for (std::size_t used = 0, n = 0; used < bytes; ++n) {
    sizes.push_back(pattern[n % std::size(pattern)]);
    used += sizes.back() + batch_header_bytes;
  }
  return sizes;
}

} // namespace lance::storage::testing
