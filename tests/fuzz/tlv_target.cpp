// Records in payloads: wire's reader in both forms, and the client's walker over a stream in pieces
// and over whole batches. A stream in pieces tells the same records as the stream whole.
//
// Input: form and limit, then how the stream is cut, then the records.
#include <array>

#include "client/record_walker.hpp"
#include "tests/fuzz/target.hpp"
#include "wire/tlv.hpp"

namespace lance::fuzz {

namespace {

struct told_record {
  std::vector<std::byte> value;
  std::optional<std::vector<std::byte>> key;
  std::uint64_t offset = 0;
  std::uint8_t type = 0;
  friend bool operator==(const told_record&, const told_record&) = default;
};

struct stream_story {
  std::vector<told_record> records;
  bool fault = false;
};

told_record told(const client::record& from) {
  told_record to{copy_of(from.value), std::nullopt, from.offset.value, from.type};
  if (from.key)
    to.key = copy_of(*from.key);
  return to;
}

void take_all(client::record_walker& walker, stream_story& story) {
  while (true) {
    const auto next = walker.next();
    if (!next) {
      LANCE_CHECK(next.error().code == errc::bad_format, static_cast<int>(next.error().code));
      story.fault = true;
      return;
    }
    if (!*next)
      return;
    story.records.push_back(told(**next));
  }
}

stream_story walk_stream(byte_view stream, byte_view pattern) {
  stream_story story;
  client::record_walker walker{client::framing::records};
  walker.start_at(byte_offset{0});
  std::uint64_t at = 0;
  for (std::size_t number = 0; !stream.empty() && !story.fault; ++number) {
    const auto length = pattern.empty()
                            ? stream.size()
                            : std::to_integer<std::size_t>(pattern[number % pattern.size()]) + 1;
    const auto part = copy_of(stream.first(std::min(length, stream.size())));
    stream = stream.subspan(part.size());
    walker.feed_stream(byte_offset{at}, part);
    at += part.size();
    take_all(walker, story);
    LANCE_CHECK(walker.fed().value == at, walker.fed().value, at);
    LANCE_CHECK(walker.position() <= walker.fed(), walker.position().value, at);
  }
  return story;
}

void read(byte_view bytes, wire::tlv_form form, std::uint32_t value_limit) {
  wire::tlv_reader reader{bytes, form, value_limit};
  std::vector<std::byte> again;
  while (const auto record = reader.next()) {
    LANCE_CHECK(record->value.size() == record->header.length, record->value.size());
    LANCE_CHECK(record->header.length <= value_limit, record->header.length);
    std::array<std::byte, wire::tlv_extended_header_bytes> head{};
    if (record->header.type != wire::tlv_type::extended || form == wire::tlv_form::extended) {
      const auto length = wire::encode_tlv_header(record->header, form, head.data());
      const auto begin = reader.valid_bytes() - length - record->value.size();
      LANCE_CHECK(same(byte_view{head}.first(length), bytes.subspan(begin, length)), begin);
    }
  }
  LANCE_CHECK(reader.state() != wire::tlv_state::reading, reader.valid_bytes());
  LANCE_CHECK(reader.valid_bytes() <= bytes.size(), reader.valid_bytes());
  LANCE_CHECK((reader.state() == wire::tlv_state::done) == (reader.valid_bytes() == bytes.size()),
              reader.valid_bytes(), bytes.size());
  const auto extent = wire::measure_records(bytes, form, value_limit);
  LANCE_CHECK(extent.records == reader.records() && extent.valid_bytes == reader.valid_bytes() &&
                  extent.state == reader.state(),
              extent.valid_bytes, reader.valid_bytes());
}

void walk_batches(byte_view payload, client::framing form) {
  const auto view = wire::batches_view::decode(payload);
  if (!view)
    return;
  client::record_walker walker{form};
  walker.start_at(view->head().next, record_number{2});
  walker.feed(*view);
  stream_story story;
  take_all(walker, story);
  LANCE_CHECK(!story.fault, story.records.size());
}

} // namespace

// The records' bytes twice, a record's own facts per five bytes of framing.
const std::uint64_t allocated_bytes_max = 4 * MiB;

void one_input(byte_view input) {
  constexpr std::array<std::uint32_t, 4> value_limits{wire::tlv_value_bytes_max, 0, 100, 4096};
  decisions choose{input};
  const auto how = choose.byte();
  const auto pattern = choose.bytes(1 + choose.byte() % 4);
  const auto bytes = choose.rest();
  const auto form = (how & 1U) != 0 ? wire::tlv_form::extended : wire::tlv_form::standard;
  read(bytes, form, value_limits[(how >> 1U) % value_limits.size()]);

  if ((how & 8U) != 0) {
    walk_batches(bytes, (how & 16U) != 0 ? client::framing::raw : client::framing::records);
    return;
  }
  const auto whole = walk_stream(bytes, {});
  const auto pieces = walk_stream(bytes, pattern);
  LANCE_CHECK(whole.records == pieces.records, whole.records.size(), pieces.records.size());
  LANCE_CHECK(whole.fault == pieces.fault, whole.fault, pieces.fault);
  if (const auto count = client::count_records(bytes))
    LANCE_CHECK(*count == whole.records.size() && !whole.fault, *count, whole.records.size());
}

} // namespace lance::fuzz
