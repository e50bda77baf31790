// `lnc import`: a file that `lnc export` wrote into a topic. The file is read twice: all of it is
// verified before anything is sent.
#include <cerrno>
#include <memory>
#include <optional>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/admin.hpp"
#include "client/cli/commands.hpp"
#include "client/cli/interrupt.hpp"
#include "client/cli/option_checks.hpp"
#include "client/cli/plain_file.hpp"
#include "client/cli/progress.hpp"
#include "client/topic_file.hpp"
#include "runtime/clock.hpp"

namespace lance::client::cli {

namespace {

using json = nlohmann::ordered_json;

struct import_options {
  std::string file;
  std::string topic;
  bool append = false;
};

class import_command {
 public:
  import_command(context& shared, const import_options& options)
      : shared_(shared), options_(options), admin_(shared.connection()),
        connector_(shared.connection()), retry_(shared.connection().retry) {}

  exit_code run() {
    if (const auto opened = file_.open(options_.file); !opened) {
      shared_.complain(options_.file + ": " + describe_error(opened.error()));
      return opened.error().system == ENOENT ? exit_code::not_found : exit_code::failed;
    }
    watch_for_interrupts();
    if (const auto whole = pass("verify", [](const auto&) { return exit_code::done; });
        whole != exit_code::done)
      return whole;
    if (const auto ready = prepare_topic(); ready != exit_code::done)
      return ready;
    const auto sent = pass("import", [this](const auto& batch) { return send(batch); });
    if (sent != exit_code::done)
      return sent;
    return tell();
  }

 private:
  // Reads the file from begin to end.
  template <class Each>
  exit_code pass(const char* label, Each each) {
    progress bar{shared_, label};
    if (const auto rewound = file_.rewind(); !rewound)
      return disk_trouble(rewound.error());
    topic_file_reader reader{[this](byte_span into) { return file_.read(into); }};
    const auto broken = [&](const error& what) {
      bar.clear();
      return what.code == errc::corrupt ? damaged(reader) : disk_trouble(what);
    };
    auto description = reader.begin();
    if (!description)
      return broken(description.error());
    description_ = std::move(*description);
    first_.reset();
    while (true) {
      const auto next = reader.next();
      if (!next)
        return broken(next.error());
      if (!*next)
        break;
      if (interrupted()) {
        bar.clear();
        shared_.complain("interrupted");
        return exit_code::failed;
      }
      if (!first_)
        first_ = (*next)->entry;
      if (const auto end = each(**next); end != exit_code::done) {
        bar.clear();
        return end;
      }
      bar.show(reader.position(), file_.size());
    }
    finish_ = reader.finish();
    return exit_code::done;
  }

  exit_code damaged(const topic_file_reader& reader) const {
    shared_.complain(options_.file + ": damaged at byte " + std::to_string(reader.position()) +
                     ": " + reader.problem());
    return exit_code::damaged;
  }
  exit_code disk_trouble(const error& what) const {
    shared_.complain(options_.file + ": " + describe_error(what));
    return exit_code::failed;
  }

  exit_code prepare_topic() {
    auto log = admin_.resolve(options_.topic);
    if (!log && log.error().code == errc::topic_not_found) {
      const auto made = admin_.create_topic(options_.topic, told_policy());
      if (!made && made.error().code != errc::topic_exists)
        return shared_.give_up(made.error());
      shared_.notice("created topic '" + options_.topic + "'");
      log = admin_.resolve(options_.topic);
    }
    if (!log)
      return shared_.give_up(log.error());
    log_ = *log;
    const auto end = admin_.lookup(log_, wire::lookup_kind::latest);
    if (!end)
      return shared_.give_up(end.error());
    begin_ = next_ = end->offset;
    record_ = end->first_record;
    const bool empty = begin_ == byte_offset{} && record_ == record_number{};
    if (!empty && !options_.append) {
      shared_.complain("topic '" + options_.topic +
                       "' is not empty, and the file's offsets would " +
                       "not be its own; --append adds behind what is there");
      return exit_code::failed;
    }
    if (first_ && (first_->offset != begin_ || first_->first_record != record_))
      shared_.notice("offsets and record numbers are not those of the export, which began at " +
                     std::to_string(first_->offset.value) + " and record " +
                     std::to_string(first_->first_record.value));
    return exit_code::done;
  }

  // The exported topic's own policy, as far as this library knows it.
  wire::topic_policy told_policy() const {
    const auto told = json::parse(description_, nullptr, false);
    if (!told.is_object() || !told.contains("policy") || !told["policy"].is_object())
      return {};
    auto request = told["policy"];
    request["name"] = options_.topic;
    const auto text = request.dump();
    const auto decoded = wire::decode_create_topic_x(as_bytes(text));
    return decoded ? decoded->policy : wire::topic_policy{};
  }

  // One batch in flight: order is what an import is about, and with several, one that the server
  // asks to repeat would come behind its successors.
  exit_code send(const wire::fetched_batch& batch) {
    const auto until = deadline::after(shared_.patience());
    const byte_offset after{next_.value + batch.entry.payload_length};
    bool unknown = false; // sent, and the answer was lost
    while (true) {
      const auto stored = try_send(batch, after, unknown, until);
      if (stored && *stored) {
        retry_.reset();
        next_ = after;
        record_ = record_number{record_.value + batch.entry.record_count};
        return exit_code::done;
      }
      const auto wait = retry_.next();
      if ((!stored && !stored.error().retriable) || until.left() <= wait || interrupted()) {
        auto why = stored ? failure{errc::throttled, true, {}, {}, "the server takes no more now"}
                          : stored.error();
        why.topic = options_.topic;
        const auto end = shared_.give_up(why);
        shared_.complain("stopped at offset " + std::to_string(next_.value) + " of the topic");
        return end;
      }
      std::this_thread::sleep_for(wait);
    }
  }

  // False: the server asks to try again.
  outcome<bool> try_send(const wire::fetched_batch& batch, byte_offset after, bool& unknown,
                         deadline until) {
    if (!line_) {
      auto fresh = connector_.connect(until);
      if (!fresh)
        return tl::unexpected{fresh.error()};
      line_ = std::move(*fresh);
    }
    if (unknown) { // nobody else writes here: the end tells whether it was stored
      const auto end = admin_.lookup(log_, wire::lookup_kind::latest);
      if (!end)
        return tl::unexpected{end.error()};
      if (end->offset == after)
        return true;
      if (end->offset != next_)
        return refuse(errc::invalid_request, "somebody else writes into the topic");
      unknown = false;
    }
    const auto header = wire::ingest_header(log_, ++sent_, runtime::real_clock{}.wall_ns(),
                                            batch.entry.record_count);
    const auto reply = line_->call(header, batch.payload, until);
    if (!reply) {
      line_.reset();
      unknown = true;
      return tl::unexpected{reply.error()};
    }
    if (reply->is(wire::command::error_response)) {
      auto why = failure_of_reply(reply->payload, line_->node());
      unknown = why.code == errc::forward_failed;
      return tl::unexpected{std::move(why)};
    }
    if (reply->kind() == wire::frame_kind::backpressure)
      return false;
    if (reply->kind() != wire::frame_kind::ack || reply->header.batch_id != sent_)
      return tl::unexpected{network_failure({errc::bad_frame, 0}, "importing", line_->node())};
    return true;
  }

  exit_code tell() {
    const auto end = admin_.lookup(log_, wire::lookup_kind::latest);
    if (!end)
      return shared_.give_up(end.error());
    if (end->offset != next_ || end->first_record != record_) {
      shared_.complain("the topic ends at offset " + std::to_string(end->offset.value) +
                       ", not at " + std::to_string(next_.value) +
                       ": somebody else writes into it");
      return exit_code::failed;
    }
    const auto records = first_ ? finish_.record.value - first_->first_record.value : 0;
    const json told{{"topic", options_.topic},
                    {"file", options_.file},
                    {"batches", finish_.batches},
                    {"records", records},
                    {"bytes", next_.value - begin_.value},
                    {"start_offset", begin_.value},
                    {"end_offset", next_.value},
                    {"end_record", record_.value}};
    shared_.io.out.put(shared_.json ? told.dump() + "\n"
                                    : "imported " + std::to_string(records) + " records in " +
                                          std::to_string(finish_.batches) + " batches, offsets " +
                                          std::to_string(begin_.value) + " to " +
                                          std::to_string(next_.value) + "\n");
    return exit_code::done;
  }

  context& shared_;
  const import_options& options_;
  admin admin_;
  connector connector_;
  backoff retry_;
  file_reader file_;
  std::unique_ptr<channel> line_;
  std::string description_;
  std::optional<wire::batch_entry> first_; ///< of the file
  topic_file_end finish_;
  log_id log_;
  byte_offset begin_; ///< of the topic: where the import began, and where it is
  byte_offset next_;
  record_number record_;
  std::uint64_t sent_ = 0;
};

} // namespace

void add_import(CLI::App& app, context& shared) {
  auto* command = app.add_subcommand("import", "fill a topic from an exported file");
  auto options = std::make_shared<import_options>();
  command->add_option("file", options->file, "a file that export has written")->required();
  add_topic_option(*command, options->topic)->check(is_topic_name());
  command->add_flag("--append", options->append, "also behind what a topic has already");
  command->callback([&shared, options] {
    shared.action = [&shared, options] { return import_command{shared, *options}.run(); };
  });
}

} // namespace lance::client::cli
