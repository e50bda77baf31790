#include "runtime/blocking_thread.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <vector>

#include <catch2/catch.hpp>

namespace lance::runtime {
namespace {

/// Counts what the helper announces.
struct announcements {
  std::atomic<int> count{0};
  static void announce(void* self) { ++static_cast<announcements*>(self)->count; }
};

template <class Condition>
bool deliver_until(blocking_thread& helper, Condition met) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (!met()) {
    if (std::chrono::steady_clock::now() > end)
      return false;
    if (!helper.deliver())
      std::this_thread::yield();
  }
  return true;
}

struct numbered final : blocking_job {
  void run() override {
    ran_on = std::this_thread::get_id();
    ran->push_back(number);
  }
  void finish() override {
    finished_on = std::this_thread::get_id();
    finished->push_back(number);
  }
  int number = 0;
  std::vector<int>* ran = nullptr;
  std::vector<int>* finished = nullptr;
  std::thread::id ran_on;
  std::thread::id finished_on;
};

} // namespace

TEST_CASE("jobs run and finish in the order given", "[blocking_thread]") {
  announcements told;
  std::vector<int> ran;
  std::vector<int> finished;
  std::vector<int> expected;
  std::deque<numbered> jobs(200);
  blocking_thread helper{&announcements::announce, &told};
  for (int i = 0; i < 200; ++i) {
    expected.push_back(i);
    jobs[static_cast<std::size_t>(i)].number = i;
    jobs[static_cast<std::size_t>(i)].ran = &ran;
    jobs[static_cast<std::size_t>(i)].finished = &finished;
    helper.submit(jobs[static_cast<std::size_t>(i)]);
  }
  REQUIRE(deliver_until(helper, [&] { return finished.size() == 200; }));
  CHECK(ran == expected);
  CHECK(finished == expected);
  for (const auto& each : jobs) {
    CHECK(each.ran_on != std::this_thread::get_id());
    CHECK(each.finished_on == std::this_thread::get_id());
  }
  REQUIRE(deliver_until(helper, [&] { return told.count == 200; }));
  CHECK_FALSE(helper.ready());
  CHECK_FALSE(helper.deliver());
}

TEST_CASE("ready says that a finish is due", "[blocking_thread]") {
  announcements told;
  std::vector<int> ran;
  std::vector<int> finished;
  numbered job;
  job.ran = &ran;
  job.finished = &finished;
  blocking_thread helper{&announcements::announce, &told};
  CHECK_FALSE(helper.ready());
  helper.submit(job);
  while (told.count == 0)
    std::this_thread::yield();
  CHECK(helper.ready()); // announced means deliverable
  CHECK(finished.empty());
  CHECK(helper.deliver());
  CHECK(finished.size() == 1);
}

namespace {

struct repeating final : blocking_job {
  void run() override { ++runs; }
  void finish() override {
    if (++finishes < wanted)
      helper->submit(*this);
  }
  blocking_thread* helper = nullptr;
  int wanted = 0;
  int runs = 0;
  int finishes = 0;
};

} // namespace

TEST_CASE("a job may be submitted again from its finish", "[blocking_thread]") {
  announcements told;
  std::deque<repeating> jobs(4);
  blocking_thread helper{&announcements::announce, &told};
  for (auto& each : jobs) {
    each.helper = &helper;
    each.wanted = 2000;
    helper.submit(each);
  }
  REQUIRE(deliver_until(helper, [&] {
    return std::all_of(jobs.begin(), jobs.end(),
                       [](const auto& each) { return each.finishes == each.wanted; });
  }));
  for (const auto& each : jobs)
    CHECK(each.runs == 2000);
}

namespace {

struct slow final : blocking_job {
  void run() override {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
    ++*runs;
  }
  void finish() override { ++*finishes; }
  std::atomic<int>* runs = nullptr;
  std::atomic<int>* finishes = nullptr;
};

} // namespace

TEST_CASE("what was submitted is run before the thread goes", "[blocking_thread]") {
  announcements told;
  std::atomic<int> runs{0};
  std::atomic<int> finishes{0};
  std::deque<slow> jobs(30);
  {
    blocking_thread helper{&announcements::announce, &told};
    for (auto& each : jobs) {
      each.runs = &runs;
      each.finishes = &finishes;
      helper.submit(each);
    }
  }
  CHECK(runs == 30);
  CHECK(finishes == 0);
  CHECK(told.count == 30);
}

TEST_CASE("bursts of jobs neither get lost nor doubled", "[blocking_thread]") {
  announcements told;
  std::deque<repeating> jobs(64);
  blocking_thread helper{&announcements::announce, &told};
  int submitted = 0;
  for (int burst = 0; burst < 300; ++burst) {
    for (auto& each : jobs) {
      each.helper = &helper;
      each.wanted = each.finishes + 1; // does not come again by itself
      helper.submit(each);
      ++submitted;
    }
    REQUIRE(deliver_until(helper, [&] {
      return std::all_of(jobs.begin(), jobs.end(),
                         [&](const auto& each) { return each.finishes == burst + 1; });
    }));
  }
  REQUIRE(deliver_until(helper, [&] { return told.count == submitted; }));
}

} // namespace lance::runtime
