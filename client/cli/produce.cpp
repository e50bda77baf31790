#include <cerrno>
#include <memory>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/cli/commands.hpp"
#include "client/cli/json_record.hpp"
#include "client/cli/line_reader.hpp"
#include "client/cli/option_checks.hpp"
#include "client/cli/units.hpp"
#include "client/client.hpp"

namespace lance::client::cli {

namespace {

struct produce_options {
  std::string topic;
  std::optional<std::string> data;
  std::optional<std::string> file;
  std::optional<std::string> key;
  std::uint32_t partition = 0;
  std::string batch_bytes = "64KiB";
  double linger_ms = 5;
  std::string compress;
  bool raw = false;
  bool from_json = false;
  bool idempotent = false;
  bool create = false;
  bool no_create = false;
};

// How many records are sent between two looks at whether any was refused.
constexpr std::uint64_t look_every = 65'536;

class input_file {
 public:
  explicit input_file(int descriptor) noexcept : fd_(descriptor) {}
  explicit input_file(const std::string& path) noexcept
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), owned_(true) {}
  ~input_file() {
    if (owned_ && fd_ >= 0)
      ::close(fd_);
  }
  input_file(const input_file&) = delete;
  input_file& operator=(const input_file&) = delete;
  [[nodiscard]] int descriptor() const noexcept { return fd_; }

 private:
  int fd_;
  bool owned_ = false;
};

class produce_command {
 public:
  produce_command(context& shared, const produce_options& options)
      : shared_(shared), options_(options), admin_(shared.connection()) {}

  exit_code run() {
    const auto input = open_input();
    if (input && input->descriptor() < 0) {
      shared_.complain(*options_.file + ": " + std::generic_category().message(errno));
      return exit_code::failed;
    }
    if (auto ready = prepare_topic(); !ready)
      return shared_.give_up(ready.error());
    producer sender{producer_settings()};
    const auto started_ns = deadline::now_ns();
    const auto fed = feed(sender, input.get());
    const auto closed = sender.close(deadline::after(shared_.patience()));
    const auto seconds = static_cast<double>(deadline::now_ns() - started_ns) / 1e9;
    const auto stats = sender.stats();
    if (!fed || !closed)
      return give_up(closed ? fed.error() : closed.error(), stats);
    return tell(stats, seconds);
  }

 private:
  std::unique_ptr<input_file> open_input() const {
    if (options_.data)
      return nullptr;
    return options_.file && *options_.file != "-" ? std::make_unique<input_file>(*options_.file)
                                                  : std::make_unique<input_file>(shared_.io.input);
  }

  outcome<> prepare_topic() {
    auto log = admin_.resolve(options_.topic);
    const bool may_create = !options_.no_create && options_.partition == 0; // a new topic has one
    if (!log && log.error().code == errc::topic_not_found && may_create) {
      const auto made = admin_.create_topic(options_.topic);
      if (!made && made.error().code != errc::topic_exists) // somebody else was quicker
        return tl::unexpected{made.error()};
      if (made)
        shared_.notice("created topic '" + options_.topic + "'");
      log = admin_.resolve(options_.topic);
    }
    if (log && options_.partition != 0)
      log = admin_.resolve(options_.topic, options_.partition);
    if (!log)
      return tl::unexpected{log.error()};
    log_ = *log;
    return {};
  }

  producer_options producer_settings() {
    producer_options settings;
    settings.connection = shared_.connection();
    settings.batch_bytes = *parse_bytes(options_.batch_bytes);
    settings.linger =
        std::chrono::microseconds{static_cast<std::int64_t>(options_.linger_ms * 1e3)};
    settings.framing = options_.raw ? framing::raw : framing::records;
    settings.idempotent = options_.idempotent;
    settings.lz4 = options_.compress == "lz4";
    settings.delivery_timeout = settings.connection.request_timeout;
    settings.send_timeout = settings.connection.request_timeout;
    return settings;
  }

  outcome<> feed(producer& sender, const input_file* input) {
    if (!input)
      return feed_line(sender, as_bytes(*options_.data));
    line_reader reader{input->descriptor()};
    if (options_.raw)
      return feed_raw(sender, reader);
    while (true) {
      const auto line = reader.next();
      if (!line)
        return at_line(line.error().code == errc::too_large
                           ? failure{errc::too_large, false, {}, {}, "longer than 16 MiB"}
                           : reading_failed(line.error()));
      if (!*line)
        return {};
      ++lines_;
      if (auto sent = feed_line(sender, **line); !sent)
        return at_line(sent.error());
      if (lines_ % look_every == 0 && sender.stats().refused != 0)
        return {}; // close() tells why
    }
  }

  outcome<> feed_line(producer& sender, byte_view line) {
    outgoing_record what{options_.topic, line, std::nullopt, options_.partition};
    if (options_.key)
      what.key = as_bytes(*options_.key);
    if (!options_.from_json)
      return sender.send(what);
    const auto parsed = parse_json_record(as_text(line));
    if (!parsed)
      return refuse(errc::invalid_request, "not an object with \"value\" or \"value_base64\"");
    what.value = parsed->value;
    if (parsed->key)
      what.key = *parsed->key;
    return sender.send(what);
  }

  // As one payload, or as few as the server's bound allows; the topic's bytes are the same.
  outcome<> feed_raw(producer& sender, line_reader& reader) {
    const auto hello = admin_.hello();
    const std::uint64_t told =
        hello && hello->max_frame_bytes != 0 ? hello->max_frame_bytes : wire::payload_bytes_max;
    std::vector<std::byte> payload(std::min<std::uint64_t>(told, wire::payload_bytes_max));
    while (true) {
      const auto got = reader.fill(payload);
      if (!got)
        return tl::unexpected{reading_failed(got.error())};
      if (*got != 0)
        if (auto sent = feed_line(sender, byte_view{payload}.first(*got)); !sent)
          return sent;
      if (*got < payload.size())
        return {};
    }
  }

  failure reading_failed(const error& why) const {
    return {errc::io_failed,
            false,
            {},
            {},
            options_.file.value_or("the input") + ": " +
                std::generic_category().message(why.system)};
  }

  tl::unexpected<failure> at_line(failure what) const {
    if (what.node.empty()) // of the input, not of a server
      what.sentence = "line " + std::to_string(lines_) + ": " + what.sentence;
    return tl::unexpected{std::move(what)};
  }

  exit_code give_up(const failure& why, const producer_stats& stats) const {
    const auto end = shared_.give_up(why);
    shared_.complain("acknowledged: " + std::to_string(stats.acknowledged) +
                     ", refused: " + std::to_string(stats.refused) +
                     ", of unknown fate: " + std::to_string(stats.unknown));
    return end;
  }

  exit_code tell(const producer_stats& stats, double seconds) {
    if (!shared_.json) {
      shared_.io.out.put("acked " + std::to_string(stats.acknowledged) + "\n");
      return exit_code::done;
    }
    const auto us = [&](double quantile) {
      return static_cast<double>(stats.ack_latency.value_at(quantile)) / 1e3;
    };
    nlohmann::ordered_json told{{"topic", options_.topic},
                                {"partition", options_.partition},
                                {"acked", stats.acknowledged},
                                {"batches", stats.batches},
                                {"bytes", stats.payload_bytes},
                                {"seconds", seconds},
                                {"p50_us", us(0.5)},
                                {"p99_us", us(0.99)},
                                {"max_us", us(1)}};
    if (const auto end = admin_.lookup(log_, wire::lookup_kind::latest)) {
      told["end_offset"] = end->offset.value; // of the topic: others may have produced too
      told["end_record"] = end->first_record.value;
    }
    shared_.io.out.put(told.dump() + "\n");
    return exit_code::done;
  }

  context& shared_;
  const produce_options& options_;
  admin admin_;
  log_id log_;
  std::uint64_t lines_ = 0;
};

void add_options(CLI::App& command, produce_options& options) {
  add_topic_option(command, options.topic);
  auto* data = command.add_option("--data", options.data, "one record, this text");
  auto* file =
      command.add_option("--file", options.file, "a record per line of this file; - is stdin");
  data->excludes(file)->type_name("TEXT");
  file->type_name("PATH");
  auto* key = command.add_option("--key", options.key, "a key for every record")->type_name("TEXT");
  command.add_option("--partition", options.partition, "of the topic")->capture_default_str();
  auto* raw = command.add_flag("--raw", options.raw,
                               "the whole input as one payload, not framed as records");
  raw->excludes(key);
  command
      .add_flag("--from-json", options.from_json, "lines are objects as consume --json prints them")
      ->excludes(raw);
  command.add_option("--batch-bytes", options.batch_bytes, "payload of a batch, at most 16MiB")
      ->type_name("SIZE")
      ->check(is_bytes())
      ->check(CLI::Validator{[](std::string& text) {
                               const auto bytes = parse_bytes(text);
                               const bool good =
                                   bytes && *bytes >= 1 && *bytes <= wire::payload_bytes_max;
                               return good ? std::string{} : std::string{"from 1 to 16MiB"};
                             },
                             ""})
      ->capture_default_str();
  command.add_option("--linger-ms", options.linger_ms, "how long a batch waits for more records")
      ->check(CLI::Range(0.0, 60'000.0))
      ->capture_default_str();
  command.add_flag("--idempotent", options.idempotent,
                   "store each record once, also when batches have to be sent again");
  command.add_option("--compress", options.compress, "compress batches on their way")
      ->check(CLI::IsMember({"lz4", "none"}));
  auto* create = command.add_flag("--create", options.create,
                                  "make the topic when it is missing (the default)");
  command.add_flag("--no-create", options.no_create, "fail when the topic is missing")
      ->excludes(create);
}

} // namespace

void add_produce(CLI::App& app, context& shared) {
  auto* command = app.add_subcommand("produce", "send records: text, lines of a file, or stdin");
  auto options = std::make_shared<produce_options>();
  add_options(*command, *options);
  command->callback([&shared, options] {
    shared.action = [&shared, options] { return produce_command{shared, *options}.run(); };
  });
}

} // namespace lance::client::cli
