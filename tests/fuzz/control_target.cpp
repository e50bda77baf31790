// Every payload of a control frame, binary and JSON, requests and replies: what decodes is encoded
// and decodes to the same again, in memory that the payload's length bounds.
//
// Input: which decoder, then the payload.
#include <array>
#include <string>

#include "tests/fuzz/target.hpp"
#include "wire/batch_commands.hpp"
#include "wire/consumer_id.hpp"
#include "wire/control.hpp"
#include "wire/control_json.hpp"
#include "wire/error_reply.hpp"

namespace lance::fuzz {

namespace {

template <class Bytes>
byte_view view_of(const Bytes& encoded) {
  return std::as_bytes(std::span{encoded.data(), encoded.size()});
}

// decode, encode, decode: the same. The second form is what the first encoder made, so it is the
// same bytes too.
template <class Decode, class Encode>
void round_trip(byte_view payload, Decode decode, Encode encode) {
  const auto first = decode(payload);
  if (!first) {
    LANCE_CHECK(static_cast<int>(first.error().code) < 0x80,
                static_cast<int>(first.error().code)); // an answer for a client
    return;
  }
  const auto bytes = encode(*first);
  const auto second = decode(view_of(bytes));
  LANCE_CHECK(second.has_value(), bytes.size());
  LANCE_CHECK(*second == *first, bytes.size());
  const auto again = encode(*second);
  LANCE_CHECK(same(view_of(bytes), view_of(again)), bytes.size());
}

template <auto Decode>
void plain(byte_view payload) {
  round_trip(
      payload, [](byte_view bytes) { return Decode(bytes); },
      [](const auto& value) { return wire::encode(value); });
}

void create_topic(byte_view payload) {
  if (const auto name = wire::decode_create_topic(payload)) {
    LANCE_CHECK(wire::valid_topic_name(*name), name->size());
    LANCE_CHECK(same(as_bytes(*name), payload), name->size());
  }
}

void topic_id_alone(byte_view payload) {
  round_trip(payload, wire::decode_topic_id, wire::encode_topic_id);
}

void authenticate(byte_view payload) {
  if (const auto token = wire::decode_authenticate(payload)) {
    LANCE_CHECK(!token->empty() && token->size() <= wire::token_bytes_max, token->size());
  }
}

void catching_up(byte_view payload) {
  round_trip(payload, wire::decode_catching_up, wire::encode_catching_up);
}

void fetch_reply(byte_view payload) {
  const auto reply = wire::decode_fetch_reply(payload);
  if (!reply)
    return;
  LANCE_CHECK(reply->data.size() == reply->head.bytes_returned, reply->data.size());
  LANCE_CHECK(reply->data.size() + wire::fetch_head_bytes <= payload.size(), reply->data.size());
  const auto head = wire::encode(reply->head);
  LANCE_CHECK(same(head, payload.first(head.size())), payload.size());
}

void batches(byte_view payload) {
  auto view = wire::batches_view::decode(payload);
  if (!view)
    return;
  const auto head = wire::encode(view->head());
  LANCE_CHECK(head.size() <= payload.size(), payload.size());
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  while (const auto batch = view->next()) {
    LANCE_CHECK(batch->payload.size() == batch->entry.payload_length, batch->payload.size());
    const auto entry = wire::encode(batch->entry);
    LANCE_CHECK(
        same(entry, payload.subspan(wire::batches_head_bytes + count * wire::batch_entry_bytes,
                                    wire::batch_entry_bytes)),
        count);
    ++count;
    bytes += batch->payload.size();
  }
  LANCE_CHECK(count == view->head().batch_count, count, view->head().batch_count);
  LANCE_CHECK(wire::batches_head_bytes + count * wire::batch_entry_bytes + bytes <= payload.size(),
              count, bytes);
}

void topic(byte_view payload) {
  round_trip(payload, wire::decode_topic, [](const wire::topic_info& info) {
    return wire::encode_topic(info, wire::topic_form::extended);
  });
}

void topic_list(byte_view payload) {
  round_trip(payload, wire::decode_topic_list, [](const std::vector<wire::topic_info>& topics) {
    return wire::encode_topic_list(topics, wire::topic_form::extended);
  });
}

void deleted(byte_view payload) {
  round_trip(payload, wire::decode_deleted, wire::encode_deleted);
}

void retention_set(byte_view payload) {
  round_trip(payload, wire::decode_retention_set, wire::encode_retention_set);
}

void error_reply(byte_view payload) {
  const auto text = as_text(payload);
  const auto reply = wire::parse_error(text);
  LANCE_CHECK(reply.sentence.size() <= text.size(), reply.sentence.size());
  LANCE_CHECK(reply.leader.size() <= text.size(), reply.leader.size());
  const auto said = wire::error_text(reply.code, reply.sentence);
  LANCE_CHECK(said.size() <= wire::error_text_bytes_max + 64, said.size());
  LANCE_CHECK(wire::parse_error(said).code == reply.code || static_cast<int>(reply.code) >= 0x80,
              static_cast<int>(reply.code));
  (void)wire::consumer_id_of(text);
}

constexpr std::array decoders{
    create_topic,
    topic_id_alone,
    plain<wire::decode_set_retention>,
    plain<wire::decode_create_with_retention>,
    authenticate,
    plain<wire::decode_fetch>,
    plain<wire::decode_subscribe>,
    plain<wire::decode_unsubscribe>,
    plain<wire::decode_commit_offset>,
    plain<wire::decode_authenticate_reply>,
    fetch_reply,
    catching_up,
    plain<wire::decode_subscribe_ack>,
    plain<wire::decode_commit_ack>,
    plain<wire::decode_offset_lookup>,
    plain<wire::decode_offset_reply>,
    plain<wire::decode_fetch_batches>,
    plain<wire::decode_producer>,
    batches,
    topic,
    topic_list,
    deleted,
    retention_set,
    plain<wire::decode_create_topic_x>,
    plain<wire::decode_set_topic>,
    plain<wire::decode_describe_topic>,
    plain<wire::decode_topic_description>,
    plain<wire::decode_cluster_status>,
    plain<wire::decode_hello>,
    plain<wire::decode_hello_reply>,
    error_reply,
};

} // namespace

// A parsed JSON document takes some tens of bytes for each of its own, and is here in three forms.
const std::uint64_t allocated_bytes_max = 4 * MiB;

void one_input(byte_view input) {
  decisions choose{input};
  const auto decoder = decoders[choose.byte() % decoders.size()];
  decoder(choose.rest());
}

} // namespace lance::fuzz
