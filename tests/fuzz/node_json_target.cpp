// node.json: what is read, written again, reads the same.
#include "storage/data_dir.hpp"
#include "tests/fuzz/target.hpp"

namespace lance::fuzz {

const std::uint64_t allocated_bytes_max = 1 * MiB;

void one_input(byte_view input) {
  const auto read = storage::identity_from_json(as_text(input));
  if (!read) {
    LANCE_CHECK(read.error().code == errc::bad_format || read.error().code == errc::unsupported,
                static_cast<int>(read.error().code));
    return;
  }
  const auto text = storage::to_json(*read);
  const auto again = storage::identity_from_json(text);
  LANCE_CHECK(again.has_value(), text.size());
  LANCE_CHECK(*again == *read, text.size());
}

} // namespace lance::fuzz
