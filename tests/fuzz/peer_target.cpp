// Frames between nodes: headers, greetings, refusals and the messages of the groups. What decodes
// encodes to the same bytes, and what an append promises is in order.
//
// Input: a byte that says whether the peer has greeted, then frames.
#include <algorithm>

#include "cluster/message_bytes.hpp"
#include "tests/fuzz/target.hpp"
#include "wire/checksum.hpp"
#include "wire/peer.hpp"

namespace lance::fuzz {

namespace {

constexpr node_id us{1};
constexpr node_id them{2};

void look_at_messages(byte_view body, bool only_one) {
  cluster::message_reader reader{body, them, us};
  std::vector<std::byte> again;
  while (!reader.done()) {
    const auto got = reader.next();
    if (!got)
      return;
    LANCE_CHECK(got->from == them && got->to == us, got->from.value);
    if (const auto* append = std::get_if<cluster::append>(&got->body))
      LANCE_CHECK(append->from <= append->end &&
                      (append->from == append->end) == append->runs.empty(),
                  append->from.value, append->end.value);
    cluster::append_message(again, *got);
    LANCE_CHECK(same(byte_view{again}, body.first(again.size())), again.size());
    if (only_one)
      return;
  }
}

void look_at_body(wire::peer_kind kind, byte_view body) {
  switch (kind) {
  case wire::peer_kind::hello:
    if (const auto hello = wire::decode_peer_hello(body))
      LANCE_CHECK(same(wire::encode(*hello), body), body.size());
    break;
  case wire::peer_kind::refusal:
    if (const auto refusal = wire::decode_peer_refusal(body))
      LANCE_CHECK(same(wire::encode(*refusal), body), body.size());
    break;
  case wire::peer_kind::messages:
    look_at_messages(body, false);
    break;
  case wire::peer_kind::append:
    look_at_messages(body, true);
    break;
  }
}

} // namespace

// A body twice, and the vectors of an append.
const std::uint64_t allocated_bytes_max = 4 * MiB;

void one_input(byte_view input) {
  decisions choose{input};
  const bool greeted = choose.byte() % 2 != 0;
  auto rest = choose.rest();
  while (rest.size() >= wire::peer_header_bytes) {
    const auto header = wire::judge_peer_header(rest.first(wire::peer_header_bytes), greeted);
    if (!header)
      return;
    rest = rest.subspan(wire::peer_header_bytes);
    LANCE_CHECK(header->body_bytes <= wire::peer_body_bytes_max, header->body_bytes);
    if (header->body_bytes > rest.size())
      return;
    const auto body = rest.first(header->body_bytes);
    if (!wire::holds(*header, body))
      return;
    const auto again = wire::encode_peer_header(header->kind, body, header->bulk_bytes);
    LANCE_CHECK(wire::judge_peer_header(again, greeted) == header, body.size());
    look_at_body(header->kind, body);
    rest = rest.subspan(header->body_bytes);
    rest = rest.subspan(std::min<std::size_t>(header->bulk_bytes, rest.size()));
  }
}

} // namespace lance::fuzz

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t size_max, unsigned seed) {
  using namespace lance;
  return fuzz::mutate_and_repair(data, size, size_max, seed, [](byte_span bytes) {
    if (bytes.empty())
      return;
    auto rest = bytes.subspan(1);
    while (rest.size() >= wire::peer_header_bytes) {
      const auto body_bytes = std::min<std::size_t>(load_le<std::uint32_t>(rest.data() + 8),
                                                    rest.size() - wire::peer_header_bytes);
      const auto body = rest.subspan(wire::peer_header_bytes, body_bytes);
      const auto kind = wire::checksum_kind::castagnoli;
      store_le(rest.data() + 8, static_cast<std::uint32_t>(body_bytes));
      store_le(rest.data() + 16, wire::checksum(kind, body));
      store_le(rest.data() + 20, wire::checksum(kind, rest.first(20)));
      const auto bulk_bytes = load_le<std::uint32_t>(rest.data() + 12);
      rest = rest.subspan(wire::peer_header_bytes + body_bytes);
      rest = rest.subspan(std::min<std::size_t>(bulk_bytes, rest.size()));
    }
  });
}
