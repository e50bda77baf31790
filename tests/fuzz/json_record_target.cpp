// A record as a line of JSON, as `lnc produce --from-json` reads it: what is read, printed and read
// again is the same record.
#include <string>

#include "client/cli/json_record.hpp"
#include "client/cli/text.hpp"
#include "tests/fuzz/target.hpp"

namespace lance::fuzz {

namespace {

namespace cli = client::cli;

// Text forms of any bytes.
void check_texts(byte_view bytes) {
  std::string base64;
  cli::append_base64(base64, bytes);
  const auto back = cli::parse_base64(base64);
  LANCE_CHECK(back && same(*back, bytes), bytes.size());
  std::string hex;
  cli::append_hex(hex, bytes);
  LANCE_CHECK(hex.size() == 2 * bytes.size(), hex.size());
  if (const auto other = cli::parse_base64(as_text(bytes))) {
    LANCE_CHECK(other->size() <= bytes.size(), other->size());
  }
}

} // namespace

const std::uint64_t allocated_bytes_max = 2 * MiB;

void one_input(byte_view input) {
  check_texts(input);
  const auto read = cli::parse_json_record(as_text(input));
  if (!read)
    return;
  client::record record;
  record.value = read->value;
  if (read->key)
    record.key = byte_view{*read->key};
  std::string line;
  cli::append_json_record(line, "topic", 3, record);
  LANCE_CHECK(line.ends_with('\n') && line.find('\n') == line.size() - 1, line.size());
  const auto again = cli::parse_json_record(std::string_view{line}.substr(0, line.size() - 1));
  LANCE_CHECK(again.has_value(), line.size());
  LANCE_CHECK(again->value == read->value && again->key == read->key, line.size());
}

} // namespace lance::fuzz
