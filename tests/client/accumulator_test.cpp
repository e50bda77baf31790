#include "client/accumulator.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::client;

namespace {

constexpr std::uint64_t linger = 5 * ms_in_ns;

accumulator small() {
  return accumulator{{.batch_bytes = 100, .linger_ns = linger, .framing = framing::records}};
}

void add(accumulator& to, outgoing_topic& topic, std::size_t bytes, std::uint64_t now = 0) {
  const std::vector<std::byte> value(bytes - wire::tlv_header_bytes);
  to.add(topic, std::nullopt, value, {}, now);
}

} // namespace

TEST_CASE("a batch is sealed when the next record does not fit") {
  auto gathered = small();
  outgoing_topic topic{"t", 0, log_id{1}};
  add(gathered, topic, 60);
  add(gathered, topic, 30);
  CHECK(gathered.sealed().empty());
  add(gathered, topic, 30);
  REQUIRE(gathered.sealed().size() == 1);
  CHECK(gathered.sealed()[0]->records == 2);
  CHECK(gathered.sealed()[0]->payload_bytes() == 90);
}

TEST_CASE("a batch that is exactly full is sealed at once") {
  auto gathered = small();
  outgoing_topic topic{"t", 0, log_id{1}};
  add(gathered, topic, 60);
  add(gathered, topic, 40);
  REQUIRE(gathered.sealed().size() == 1);
  CHECK(gathered.sealed()[0]->payload_bytes() == 100);
  CHECK(gathered.next_expiry_ns() == ~std::uint64_t{0});
}

TEST_CASE("a record longer than a batch makes one of its own, in order") {
  auto gathered = small();
  outgoing_topic topic{"t", 0, log_id{1}};
  add(gathered, topic, 20);
  CHECK(gathered.charge_for(topic, 500) == 500);
  add(gathered, topic, 500);
  REQUIRE(gathered.sealed().size() == 2);
  CHECK(gathered.sealed()[0]->payload_bytes() == 20);
  CHECK(gathered.sealed()[1]->payload_bytes() == 500);
  CHECK(gathered.sealed()[0]->sequence < gathered.sealed()[1]->sequence);
}

TEST_CASE("lingering counts from a batch's first record") {
  auto gathered = small();
  outgoing_topic one{"a", 0, log_id{1}};
  outgoing_topic other{"b", 0, log_id{2}};
  add(gathered, one, 10, 1000);
  add(gathered, other, 10, 2000);
  add(gathered, one, 10, 3000); // keeps nobody waiting longer
  CHECK(gathered.next_expiry_ns() == 1000 + linger);
  gathered.seal_expired(999 + linger);
  CHECK(gathered.sealed().empty());
  gathered.seal_expired(1000 + linger);
  REQUIRE(gathered.sealed().size() == 1);
  CHECK(gathered.sealed()[0]->topic == &one);
  gathered.seal_expired(0, true);
  CHECK(gathered.sealed().size() == 2);
}

TEST_CASE("only a record that begins a batch is charged, the whole room") {
  auto gathered = small();
  outgoing_topic topic{"t", 0, log_id{1}};
  CHECK(gathered.charge_for(topic, 10) == 100);
  add(gathered, topic, 10);
  CHECK(gathered.charge_for(topic, 90) == 0);
  CHECK(gathered.charge_for(topic, 91) == 100);
}

TEST_CASE("recycled batches begin empty") {
  auto gathered = small();
  outgoing_topic topic{"t", 0, log_id{1}};
  int calls = 0;
  gathered.add(
      topic, std::nullopt, as_bytes("x"), [&](const delivery&) { ++calls; }, 0);
  gathered.seal_expired(0, true);
  auto batch = std::move(gathered.sealed()[0]);
  gathered.sealed().clear();
  const auto* memory = batch->frame.data();
  gathered.recycle(std::move(batch));
  add(gathered, topic, 10, 9);
  gathered.seal_expired(0, true);
  const auto& again = *gathered.sealed()[0];
  CHECK(again.frame.data() == memory);
  CHECK(again.records == 1);
  CHECK(again.callbacks.empty());
  CHECK(again.payload_bytes() == 10);
  CHECK(again.begun_ns == 9);
  CHECK(again.sequence == 2);
}
