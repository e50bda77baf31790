// votes.log: what is read is in order and within its bound, and written again the same bytes.
#include <algorithm>

#include "storage/votes.hpp"
#include "tests/fuzz/target.hpp"
#include "wire/checksum.hpp"

namespace lance::fuzz {

const std::uint64_t allocated_bytes_max = 4 * storage::votes_bytes_max;

void one_input(byte_view input) {
  const auto read = storage::decode_votes(input);
  if (!read) {
    LANCE_CHECK(read.error().code == errc::bad_format, static_cast<int>(read.error().code));
    return;
  }
  LANCE_CHECK(read->size() <= storage::vote_rows_max, read->size());
  LANCE_CHECK(std::ranges::is_sorted(*read, std::ranges::less_equal{}, &storage::vote_row::log) ||
                  read->size() < 2,
              read->size());
  LANCE_CHECK(same(storage::encode_votes(*read), input), input.size());
}

} // namespace lance::fuzz

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t size_max, unsigned seed) {
  using namespace lance;
  return fuzz::mutate_and_repair(data, size, size_max, seed, [](byte_span bytes) {
    if (bytes.size() < sizeof(std::uint32_t))
      return;
    const auto summed = bytes.first(bytes.size() - sizeof(std::uint32_t));
    store_le(bytes.data() + summed.size(), wire::checksum(wire::checksum_kind::castagnoli, summed));
  });
}
