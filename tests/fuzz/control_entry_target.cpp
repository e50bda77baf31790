// The payload of a control batch: what is read is well formed, and written again the same bytes.
#include "cluster/control_entry.hpp"
#include "tests/fuzz/target.hpp"

namespace lance::fuzz {

const std::uint64_t allocated_bytes_max = 64 * KiB;

void one_input(byte_view input) {
  const auto read = cluster::decode_control(input);
  if (!read) {
    LANCE_CHECK(read.error().code == errc::bad_format || read.error().code == errc::unsupported,
                static_cast<int>(read.error().code));
    return;
  }
  LANCE_CHECK(!read->members || cluster::well_formed(*read->members), input.size());
  LANCE_CHECK(same(cluster::encode(*read), input), input.size());
}

} // namespace lance::fuzz
