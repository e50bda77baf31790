#include "actors/acks.hpp"

#include <catch2/catch.hpp>

#include "tests/wire/random.hpp"

namespace lance::actors {
namespace {

struct answered {
  std::uint64_t ticket;
  batch_number batch;
  bool done;
  errc refusal;
  friend bool operator==(const answered&, const answered&) = default;
};

struct notebook final : answer_sink {
  void answer(const pending_ack& to, log_id log, bool done, errc refusal) override {
    CHECK(log == log_id{9});
    list.push_back({to.to.ticket, to.batch, done, refusal});
  }
  std::vector<answered> list;
};

pending_ack ack(std::uint64_t number) {
  return {{.network = 1, .session = 2, .generation = 3, .ticket = number + 100},
          batch_number{number}};
}

} // namespace

TEST_CASE("only what is durable is acknowledged, in order", "[acks]") {
  ack_line line;
  notebook told;
  CHECK(line.empty());
  for (std::uint64_t i = 10; i < 20; ++i)
    line.wait(ack(i));
  line.durable(log_id{9}, batch_number{10}, told); // below the first: nothing of ours
  CHECK(told.list.empty());
  line.durable(log_id{9}, batch_number{13}, told); // up to 13, exclusively
  CHECK(told.list == std::vector<answered>{{110, batch_number{10}, true, {}},
                                           {111, batch_number{11}, true, {}},
                                           {112, batch_number{12}, true, {}}});
  line.durable(log_id{9}, batch_number{13}, told); // said once
  CHECK(told.list.size() == 3);
  CHECK_FALSE(line.empty());

  told.list.clear();
  line.failed(log_id{9}, batch_number{15}, errc::io_failed, told);
  CHECK(told.list == std::vector<answered>{{113, batch_number{13}, false, errc::io_failed},
                                           {114, batch_number{14}, false, errc::io_failed}});
  told.list.clear();
  line.fail_all(log_id{9}, errc::topic_not_found, told);
  CHECK(told.list.size() == 5);
  for (const auto& each : told.list)
    CHECK((!each.done && each.refusal == errc::topic_not_found));
  CHECK(line.empty());
}

TEST_CASE("every waiting batch gets one answer", "[acks]") {
  wire::test::random_source random{"acks"};
  ack_line line;
  notebook told;
  std::uint64_t next = 1;
  std::uint64_t durable = 1;
  for (int step = 0; step < 20'000; ++step) {
    if (random.up_to(1) == 0) {
      // A number may be missing: batches of a control entry wait for nobody.
      next += random.up_to(2) == 0 ? 1 : 0;
      line.wait(ack(next++));
    } else {
      durable += random.up_to(next - durable);
      if (random.up_to(50) == 0)
        line.failed(log_id{9}, batch_number{durable}, errc::io_failed, told);
      else
        line.durable(log_id{9}, batch_number{durable}, told);
      if (!told.list.empty())
        REQUIRE(told.list.back().batch.value < durable);
    }
  }
  line.fail_all(log_id{9}, errc::closed, told);
  for (std::size_t i = 1; i < told.list.size(); ++i)
    REQUIRE(told.list[i - 1].batch < told.list[i].batch);
  CHECK(line.empty());
}

} // namespace lance::actors
