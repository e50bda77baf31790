// `lnc export`: a topic, as it is now, into one file (client/topic_file).
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/admin.hpp"
#include "client/cli/commands.hpp"
#include "client/cli/interrupt.hpp"
#include "client/cli/plain_file.hpp"
#include "client/cli/progress.hpp"
#include "client/topic_file.hpp"

namespace lance::client::cli {

namespace {

using json = nlohmann::ordered_json;

constexpr std::uint32_t fetch_bytes = 4 * MiB;

struct export_options {
  std::string topic;
  std::string file;
};

class export_command {
 public:
  export_command(context& shared, const export_options& options)
      : shared_(shared), options_(options), connector_(shared.connection()),
        retry_(shared.connection().retry), file_(options.file), bar_(shared, "export"),
        writer_([this](byte_view bytes) { return file_.write(bytes); }) {}

  exit_code run() {
    admin asking{shared_.connection()};
    const auto described = asking.describe_topic(options_.topic);
    if (!described)
      return shared_.give_up(described.error());
    if (described->partitions.size() != 1) {
      shared_.complain("topic '" + options_.topic + "' has " +
                       std::to_string(described->partitions.size()) +
                       " partitions; only topics of one can be exported");
      return exit_code::failed;
    }
    const auto& partition = described->partitions.front();
    log_ = partition.log;
    begin_ = next_ = partition.start;
    end_ = partition.durable_end;
    record_ = begin_record_ = partition.first_record;
    watch_for_interrupts();
    if (const auto opened = file_.open(); !opened)
      return disk_trouble(opened.error());
    if (const auto begun = writer_.begin(description(described->topic)); !begun)
      return disk_trouble(begun.error());
    while (next_ < end_) {
      if (interrupted()) {
        bar_.clear();
        shared_.complain("interrupted; nothing was kept");
        return exit_code::failed;
      }
      if (const auto end = fetch(); end != exit_code::done)
        return end;
      bar_.show(next_.value - begin_.value, end_.value - begin_.value);
    }
    if (const auto ended = writer_.end(next_, record_); !ended)
      return disk_trouble(ended.error());
    if (const auto kept = file_.keep(); !kept)
      return disk_trouble(kept.error());
    bar_.clear();
    tell();
    return exit_code::done;
  }

 private:
  std::string description(const wire::topic_info& topic) const {
    json told{{"topic", topic.name},
              {"partition", 0},
              {"start_offset", begin_.value},
              {"start_record", begin_record_.value}};
    const auto policy = json::parse(wire::encode(wire::topic_change_request{"", topic.policy}));
    for (const auto& [name, value] : policy.items())
      if (name != "name")
        told["policy"][name] = value;
    return told.dump();
  }

  // One request, tried again as long as that may help.
  exit_code fetch() {
    const auto until = deadline::after(shared_.patience());
    while (true) {
      const auto reply = ask(until);
      if (reply)
        return take(*reply);
      line_.reset();
      const auto wait = retry_.next();
      if (!reply.error().retriable || until.left() <= wait || interrupted()) {
        bar_.clear();
        auto why = reply.error();
        why.topic = options_.topic;
        return shared_.give_up(why);
      }
      std::this_thread::sleep_for(wait);
    }
  }

  outcome<wire::batches_view> ask(deadline until) {
    if (!line_) {
      auto fresh = connector_.connect(until);
      if (!fresh)
        return tl::unexpected{fresh.error()};
      line_ = std::move(*fresh);
    }
    const auto payload = wire::encode(wire::fetch_batches_request{log_, next_, fetch_bytes, 0, 0});
    const auto reply =
        line_->call(wire::control_header(wire::command::fetch_batches), payload, until);
    if (!reply)
      return tl::unexpected{reply.error()};
    if (reply->is(wire::command::error_response))
      return tl::unexpected{failure_of_reply(reply->payload, line_->node())};
    const auto batches = wire::batches_view::decode(reply->payload);
    if (!reply->is(wire::command::batches_reply) || !batches)
      return tl::unexpected{network_failure({errc::bad_frame, 0}, "fetching", line_->node())};
    return *batches;
  }

  exit_code take(wire::batches_view batches) {
    retry_.reset();
    while (const auto batch = batches.next()) {
      if (next_ >= end_)
        return exit_code::done; // came after the export began
      if (batch->entry.offset != next_) {
        bar_.clear();
        shared_.complain("topic '" + options_.topic + "': retention has taken offset " +
                         std::to_string(next_.value) + " meanwhile; nothing was kept");
        return exit_code::unavailable;
      }
      if (const auto added = writer_.add(*batch); !added)
        return disk_trouble(added.error());
      next_ = byte_offset{next_.value + batch->entry.payload_length};
      record_ = record_number{batch->entry.first_record.value + batch->entry.record_count};
    }
    if (batches.head().batch_count > 0)
      return exit_code::done;
    bar_.clear();
    shared_.complain("topic '" + options_.topic + "' ends at offset " +
                     std::to_string(next_.value) + ", before " + std::to_string(end_.value));
    return exit_code::failed;
  }

  exit_code disk_trouble(const error& what) {
    bar_.clear();
    shared_.complain(options_.file + ": " + describe_error(what));
    return exit_code::failed;
  }

  void tell() {
    const auto records = record_.value - begin_record_.value;
    const json told{{"topic", options_.topic},
                    {"file", options_.file},
                    {"batches", writer_.batches()},
                    {"records", records},
                    {"bytes", next_.value - begin_.value},
                    {"file_bytes", file_.bytes()},
                    {"start_offset", begin_.value},
                    {"end_offset", next_.value}};
    shared_.io.out.put(shared_.json ? told.dump() + "\n"
                                    : "exported " + std::to_string(records) + " records in " +
                                          std::to_string(writer_.batches()) + " batches, offsets " +
                                          std::to_string(begin_.value) + " to " +
                                          std::to_string(next_.value) + "\n");
  }

  context& shared_;
  const export_options& options_;
  connector connector_;
  backoff retry_;
  file_writer file_;
  progress bar_;
  topic_file_writer writer_;
  std::unique_ptr<channel> line_;
  log_id log_;
  byte_offset begin_;
  byte_offset next_;
  byte_offset end_;
  record_number begin_record_;
  record_number record_;
};

} // namespace

void add_export(CLI::App& app, context& shared) {
  auto* command = app.add_subcommand("export", "write a topic into one checksummed file");
  auto options = std::make_shared<export_options>();
  command->add_option("topic", options->topic, "the topic")->required();
  command->add_option("-o,--output", options->file, "the file to write")
      ->type_name("FILE")
      ->required();
  command->callback([&shared, options] {
    shared.action = [&shared, options] { return export_command{shared, *options}.run(); };
  });
}

} // namespace lance::client::cli
