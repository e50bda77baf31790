#include "client/async_consumer.hpp"

#include <utility>

namespace lance::client {

namespace {

// How long a poll goes on after the owner wants to end.
constexpr std::chrono::milliseconds look_up{250};

std::vector<std::byte> copy_of(byte_view bytes) {
  return {bytes.begin(), bytes.end()};
}

std::vector<owned_record> owned(std::span<const record> records) {
  std::vector<owned_record> all;
  all.reserve(records.size());
  for (const auto& each : records) {
    owned_record one;
    one.value = copy_of(each.value);
    if (each.key)
      one.key = copy_of(*each.key);
    one.offset = each.offset;
    one.number = each.number;
    one.time_ns = each.time_ns;
    one.type = each.type;
    all.push_back(std::move(one));
  }
  return all;
}

} // namespace

async_consumer::async_consumer(std::unique_ptr<consumer> from) : consumer_(std::move(from)) {
  reader_ = std::thread{[this] { read(); }};
  teller_ = std::thread{[this] { tell(); }};
}

async_consumer::~async_consumer() {
  {
    const std::lock_guard guard{lock_};
    ending_ = true;
  }
  asked_.notify_one();
  reader_.join();
  {
    const std::lock_guard guard{lock_};
    all_read_ = true;
  }
  answered_.notify_one();
  teller_.join();
}

outcome<> async_consumer::next(std::size_t max_records, deadline until, records_callback told) {
  if (max_records == 0 || !told)
    return refuse(errc::invalid_request, "a request is for one record at least, and for somebody");
  {
    const std::lock_guard guard{lock_};
    if (ending_)
      return refuse(errc::closed, "the consumer is being closed");
    if (open_ >= requests_max)
      return refuse(errc::exhausted, "too many requests are not answered yet");
    ++open_;
    requests_.push_back({max_records, until, std::move(told)});
  }
  asked_.notify_one();
  return {};
}

outcome<std::future<records_outcome>> async_consumer::next_with_future(std::size_t max_records,
                                                                       deadline until) {
  auto promise = std::make_shared<std::promise<records_outcome>>();
  auto future = promise->get_future();
  auto taken = next(max_records, until,
                    [promise](records_outcome what) { promise->set_value(std::move(what)); });
  if (!taken)
    return tl::unexpected{std::move(taken.error())};
  return future;
}

bool async_consumer::ending() const {
  const std::lock_guard guard{lock_};
  return ending_;
}

void async_consumer::read() {
  std::unique_lock guard{lock_};
  while (true) {
    asked_.wait(guard, [this] { return ending_ || !requests_.empty(); });
    if (requests_.empty())
      return;
    auto asked = std::move(requests_.front());
    requests_.pop_front();
    guard.unlock();
    auto what = carry_out(asked);
    guard.lock();
    answers_.push_back({std::move(asked.told), std::move(what)});
    answered_.notify_one();
  }
}

records_outcome async_consumer::carry_out(const request& asked) {
  while (true) {
    if (ending())
      return refuse(errc::closed, "the consumer is being closed");
    const auto until = deadline::earlier(asked.until, deadline::after(look_up));
    const auto records = consumer_->poll(asked.max_records, until);
    const bool over = asked.until.passed();
    if (!records) {
      // A retriable failure at the end of a slice is told when the request's own time is over.
      if (!records.error().retriable || over)
        return tl::unexpected{records.error()};
      continue;
    }
    if (!records->empty() || over)
      return owned(*records);
  }
}

void async_consumer::tell() {
  std::unique_lock guard{lock_};
  while (true) {
    answered_.wait(guard, [this] { return all_read_ || !answers_.empty(); });
    if (answers_.empty())
      return;
    auto next = std::move(answers_.front());
    answers_.pop_front();
    guard.unlock();
    next.told(std::move(next.what));
    next.told = nullptr; // what it holds goes before its place is given to another
    guard.lock();
    --open_;
  }
}

} // namespace lance::client
