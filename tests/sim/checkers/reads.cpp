#include "tests/sim/checkers/reads.hpp"

#include <algorithm>

namespace lance::sim {

using storage::read_shape;

void read_checker::judge(const storage::read_operation& asked, const storage::read_outcome& got,
                         const storage::log& from) {
  history_.durable(from.durable_next());
  bytes_ += got.bytes;
  if (got.next.value > history_.end_offset() || got.next > asked.limit)
    return history_.report("readers stop at the durable end",
                           "a read went on to offset " + std::to_string(got.next.value) +
                               ", the end is at " + std::to_string(history_.end_offset()) +
                               ", the limit at " + std::to_string(asked.limit.value));
  if (asked.shape == read_shape::bytes)
    judge_bytes(asked, got);
  else
    judge_whole(asked, got);
}

void read_checker::judge_bytes(const storage::read_operation& asked,
                               const storage::read_outcome& got) {
  if (got.next.value - got.start.value != got.bytes || got.start < asked.start)
    return history_.report("readers get what was sent", "a read counts wrong");
  auto into = byte_view{asked.into}.first(got.bytes);
  for (auto offset = got.start.value; !into.empty();) {
    const auto& one = history_.batch(history_.number_at(offset));
    const auto rest = history_.payload(one).subspan(offset - one.place.header.offset.value);
    const auto some = std::min(rest.size(), into.size());
    if (!std::ranges::equal(rest.first(some), into.first(some)))
      return history_.report("readers get what was sent",
                             "bytes at offset " + std::to_string(offset) + " are others");
    offset += some;
    into = into.subspan(some);
  }
}

// Whole batches, with their headers or without.
void read_checker::judge_whole(const storage::read_operation& asked,
                               const storage::read_outcome& got) {
  auto into = byte_view{asked.into}.first(got.bytes);
  for (const auto& located : asked.batches) {
    if (located.number.value >= history_.next())
      return history_.report("readers stop at the durable end",
                             "batch " + std::to_string(located.number.value) + " is not durable");
    const auto& one = history_.batch(located.number.value);
    const auto& header = one.place.header;
    if (asked.shape == read_shape::image) {
      const auto decoded = storage::decode(into);
      if (!decoded || *decoded != header)
        return history_.report("readers get what was sent",
                               "header of batch " + std::to_string(located.number.value));
      into = into.subspan(storage::batch_header_bytes);
    }
    const auto payload = history_.payload(one);
    if (into.size() < payload.size() || !std::ranges::equal(payload, into.first(payload.size())))
      return history_.report("readers get what was sent",
                             "batch " + std::to_string(located.number.value) + " is another");
    into = into.subspan(payload.size());
  }
  if (!into.empty())
    history_.report("readers get what was sent", "bytes behind the last batch");
}

void read_checker::judge_corrupt(std::uint64_t offset, bool flipped) {
  const auto number = history_.number_at(offset);
  if (!flipped && number < history_.next() && !history_.batch(number).rotted &&
      !history_.may_be_lost(number))
    history_.report("acknowledged stays", "batch " + std::to_string(number) +
                                              " does not verify, and the device was well");
}

} // namespace lance::sim
