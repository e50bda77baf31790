#include <memory>

#include <CLI/CLI.hpp>

#include "client/cli/commands.hpp"
#include "client/cli/interrupt.hpp"
#include "client/cli/json_record.hpp"
#include "client/cli/option_checks.hpp"
#include "client/cli/text.hpp"
#include "client/cli/units.hpp"
#include "client/client.hpp"
#include "runtime/clock.hpp"

namespace lance::client::cli {

namespace {

struct consume_options {
  std::string topic;
  std::string offset = "earliest";
  std::uint32_t partition = 0;
  std::optional<std::uint64_t> count;
  bool follow = false;
  bool hex = false;
  bool raw = false;
};

// Taken per poll: enough to make the calls cheap, few enough to stay in the cache.
constexpr std::size_t records_per_poll = 4096;
// How soon an interrupt is noticed while following.
constexpr std::chrono::milliseconds slice{200};

class consume_command {
 public:
  consume_command(context& shared, const consume_options& options)
      : shared_(shared), options_(options), reader_(settings()) {}

  exit_code run() {
    const auto start = parse_start(options_.offset, runtime::real_clock{}.wall_ns());
    if (auto begun = reader_.subscribe(options_.topic, *start, options_.partition); !begun)
      return shared_.give_up(begun.error());
    if (options_.follow) {
      watch_for_interrupts();
      return follow();
    }
    return read_to_end();
  }

 private:
  consumer_options settings() const {
    consumer_options settings;
    settings.connection = shared_.connection();
    settings.framing = options_.raw ? framing::raw : framing::records;
    if (!options_.follow)
      settings.fetch_wait = std::chrono::milliseconds{0};
    return settings;
  }

  std::size_t wanted() const {
    return static_cast<std::size_t>(std::min<std::uint64_t>(left_, records_per_poll));
  }

  exit_code read_to_end() {
    const auto end = reader_.end();
    if (!end)
      return shared_.give_up(end.error());
    if (reader_.position() > *end)
      return shared_.give_up({errc::offset_out_of_range,
                              false,
                              {},
                              options_.topic,
                              "offset " + std::to_string(reader_.position().value) +
                                  " is beyond the end, " + std::to_string(end->value)});
    while (left_ != 0 && reader_.position() < *end && shared_.io.out.good()) {
      const auto records = reader_.poll(wanted(), deadline::after(shared_.patience()));
      if (!records)
        return shared_.give_up(records.error());
      if (records->empty() && reader_.at_end())
        break;
      write(*records);
    }
    if (left_ != 0 && reader_.plain() && reader_.position() < *end)
      shared_.notice(std::to_string(end->value - reader_.position().value) +
                     " bytes at the end are not a whole record");
    return exit_code::done;
  }

  exit_code follow() {
    auto give_up_at = deadline::after(shared_.patience());
    while (left_ != 0 && !interrupted() && shared_.io.out.good()) {
      const auto records = reader_.poll(wanted(), deadline::after(slice));
      if (!records) {
        if (!records.error().retriable || give_up_at.passed())
          return shared_.give_up(records.error());
        if (!std::exchange(troubled_, true))
          shared_.notice(to_text(records.error()) + "; trying again");
        continue;
      }
      give_up_at = deadline::after(shared_.patience());
      troubled_ = false;
      write(*records);
      shared_.io.out.flush();
    }
    return exit_code::done;
  }

  void write(std::span<const record> records) {
    auto& out = shared_.io.out;
    for (const auto& one : records) {
      auto& to = out.buffer();
      if (shared_.json)
        append_json_record(to, options_.topic, options_.partition, one);
      else if (options_.hex)
        append_hex(to, one.value);
      else
        to.append(as_text(one.value));
      if (!shared_.json && !options_.raw)
        to += '\n';
      out.settle();
    }
    left_ -= records.size();
  }

  context& shared_;
  const consume_options& options_;
  consumer reader_;
  std::uint64_t left_ = options_.count.value_or(~std::uint64_t{0});
  bool troubled_ = false;
};

void add_options(CLI::App& command, consume_options& options) {
  add_topic_option(command, options.topic);
  command
      .add_option("-o,--offset", options.offset,
                  "where to begin: earliest, latest, a byte offset, record:N, @TIME")
      ->type_name("PLACE")
      ->check(is_start())
      ->capture_default_str();
  command.add_option("--partition", options.partition, "of the topic")->capture_default_str();
  command.add_option("-n,--count", options.count, "stop after so many records");
  command.add_flag("-f,--follow", options.follow, "do not stop at the end, wait for more");
  auto* hex = command.add_flag("--hex", options.hex, "values as hexadecimal digits");
  command.add_flag("--raw", options.raw, "the topic's bytes as they are, nothing added")
      ->excludes(hex);
}

} // namespace

void add_consume(CLI::App& app, context& shared) {
  auto* command = app.add_subcommand("consume", "print records, one per line");
  auto options = std::make_shared<consume_options>();
  add_options(*command, *options);
  command->callback([&shared, options] {
    shared.action = [&shared, options] {
      if (shared.json && (options->hex || options->raw))
        return shared.wrong_usage("--json goes with neither --hex nor --raw");
      return consume_command{shared, *options}.run();
    };
  });
}

} // namespace lance::client::cli
