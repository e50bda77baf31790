#include "client/cli/run.hpp"

#include <cstdio>
#include <cstdlib>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/client/fake_server.hpp"

using namespace lance;
using namespace lance::client;
using namespace lance::client::cli;
using namespace lance::client::testing;
using wire::command;

namespace {

struct run_result {
  exit_code code;
  std::string out;
  std::string errors;
};

std::string content(std::FILE* file) {
  std::rewind(file);
  std::string text;
  for (int c = 0; (c = std::fgetc(file)) != EOF;)
    text += static_cast<char>(c);
  std::fclose(file);
  return text;
}

run_result lnc(std::vector<std::string> words, const std::string& input = {}) {
  auto* in = std::tmpfile();
  auto* out = std::tmpfile();
  auto* errors = std::tmpfile();
  std::fputs(input.c_str(), in);
  std::rewind(in);
  const auto code = [&] {
    console io{::fileno(in), sink{::fileno(out)}, sink{::fileno(errors)}};
    return run(std::move(words), io);
  }();
  std::fclose(in);
  return {code, content(out), content(errors)};
}

run_result lnc_to(const fake_server& server, std::vector<std::string> words,
                  const std::string& input = {}) {
  words.insert(words.begin(), {"-s", to_text(server.where()), "--timeout", "10s"});
  return lnc(std::move(words), input);
}

// As much of a server as the tool's commands need: topics by name, ingest kept as whole batches.
class tiny_server {
 public:
  tiny_server() : server_([this](peer& from, int) { serve(from); }) {}
  [[nodiscard]] const fake_server& server() const { return server_; }
  std::vector<wire::topic_info> topics() {
    const std::lock_guard guard{lock_};
    return topics_;
  }

 private:
  void serve(peer& from) {
    while (const auto asked = from.read()) {
      const std::lock_guard guard{lock_};
      if (wire::classify(asked->header) == wire::frame_kind::ingest)
        keep(from, *asked);
      else if (!answer_topics(from, *asked, topics_))
        answer(from, *asked);
    }
  }

  void keep(peer& from, const seen_frame& frame) {
    stored_batch batch;
    batch.payload = frame.payload;
    batch.entry = {end_, record_number{records_}, 1, frame.header.record_count,
                   static_cast<std::uint32_t>(frame.payload.size())};
    end_.value += frame.payload.size();
    records_ += frame.header.record_count;
    batches_.push_back(std::move(batch));
    from.ack(frame);
  }

  void answer(peer& from, const seen_frame& asked) {
    switch (asked.command()) {
    case command::create_topic_x:
      return create(from, *wire::decode_create_topic_x(asked.payload));
    case command::offset_lookup: {
      const auto wanted = wire::decode_offset_lookup(asked.payload);
      const bool latest = wanted->kind == wire::lookup_kind::latest;
      return from.reply(
          command::offset_reply,
          wire::encode(latest ? wire::offset_lookup_reply{end_, record_number{records_}, 0}
                              : wire::offset_lookup_reply{}));
    }
    case command::fetch_batches: {
      const auto wanted = wire::decode_fetch_batches(asked.payload);
      std::vector<stored_batch> rest;
      for (const auto& one : batches_)
        if (one.entry.offset >= wanted->start)
          rest.push_back(one);
      return from.reply(command::batches_reply, batches_reply(end_, end_, rest));
    }
    case command::get_cluster_status: {
      wire::cluster_status status;
      status.standalone = true;
      return from.reply(command::cluster_status_response, wire::encode(status));
    }
    default:
      return from.refuse("NOT_AUTHORIZED: not for you");
    }
  }

  void create(peer& from, const wire::topic_change_request& wanted) {
    wire::topic_info topic;
    topic.id = topic_id{static_cast<std::uint32_t>(topics_.size() + 1)};
    topic.name = wanted.name;
    topic.policy = wanted.policy;
    topics_.push_back(topic);
    from.reply(command::topic_response, wire::encode_topic(topic, wire::topic_form::extended));
  }

  std::mutex lock_;
  std::vector<wire::topic_info> topics_;
  std::vector<stored_batch> batches_;
  byte_offset end_;
  std::uint64_t records_ = 0;
  fake_server server_;
};

} // namespace

TEST_CASE("help and version are answers on stdout") {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"-h"}, {"--help"}, {"produce", "-h"}, {"topic", "create", "-h"}}) {
    const auto told = lnc(words);
    CHECK(told.code == exit_code::done);
    CHECK(told.out.find("lnc") != std::string::npos);
    CHECK(told.errors.empty());
  }
  CHECK(lnc({"-V"}).out.find("lnc 0.") == 0);
}

TEST_CASE("help lists what there is and nothing else") {
  const auto help = lnc({"-h"}).out;
  for (const auto* word :
       {"produce", "consume", "topic", "cluster", "bench", "export", "import", "completion"})
    CHECK(help.find(word) != std::string::npos);
  for (const auto* word : {"group", "tee", "acl", "token "})
    CHECK(help.find(std::string{"\n  "} + word) == std::string::npos);
}

TEST_CASE("wrong words are usage errors, told on stderr") {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{},
        {"produse"},
        {"produce"},
        {"produce", "--topic"},
        {"produce", "--topic", "x", "--bogus"},
        {"produce", "--topic", "x", "--data", "y", "--file", "z"},
        {"produce", "--topic", "bad/name", "--data", "y"},
        {"produce", "--topic", "x", "--batch-bytes", "17MiB"},
        {"produce", "--topic", "x", "--compress", "brotli"},
        {"produce", "--topic", "x", "--raw", "--key", "k"},
        {"produce", "--topic", "x", "--create", "--no-create"},
        {"topic"},
        {"topic", "create"},
        {"topic", "create", "x", "--max-age", "soon"},
        {"topic", "create", "x", "--max-bytes", "-5"},
        {"topic", "create", "x", "--mode", "L9"},
        {"topic", "set", "x"},
        {"consume", "--topic", "x", "--offset", "yesterday-ish"},
        {"consume", "--topic", "x", "-n", "minus"},
        {"consume", "--topic", "x", "--json", "--hex"},
        {"consume", "--topic", "x", "--group", "g"},
        {"bench", "produce", "--size", "1MiB", "--batch", "100"},
        {"bench", "consume", "--rate", "5"},
        {"-s", "not a server", "topic", "list"},
        {"--timeout", "never", "topic", "list"},
        {"completion", "tcsh"}}) {
    const auto told = lnc(words);
    INFO(nlohmann::json(words).dump());
    CHECK(told.code == exit_code::usage);
    CHECK(told.out.empty());
    CHECK_FALSE(told.errors.empty());
  }
}

TEST_CASE("a command that is none is named") {
  CHECK(lnc({"produse", "--topic", "x"}).errors.find("'produse' is no command") !=
        std::string::npos);
  CHECK(lnc({"topic", "lsit"}).errors.find("'lsit' is no command") != std::string::npos);
}

TEST_CASE("a token file that holds no token is told before anything is sent") {
  const auto told = lnc({"--token-file", "/no/such/file", "topic", "list"});
  CHECK(told.code == exit_code::failed);
  CHECK(told.errors.find("/no/such/file") != std::string::npos);
}

TEST_CASE("files for encryption that cannot be used are told before anything is sent") {
  for (const auto* option : {"--tls-ca", "--tls-cert", "--tls-key"}) {
    const auto told = lnc({option, "/no/such/file", "topic", "list"});
    CHECK(told.code == exit_code::failed);
    CHECK(told.errors.find("tls.") != std::string::npos);
  }
}

TEST_CASE("nobody there is unavailable, with the server named") {
  std::string where;
  {
    const fake_server gone{[](peer&, int) {}};
    where = to_text(gone.where());
  }
  for (const std::vector<std::string>& words : {std::vector<std::string>{"topic", "list"},
                                                {"produce", "--topic", "x", "--data", "y"},
                                                {"consume", "--topic", "x"},
                                                {"cluster", "status"},
                                                {"bench", "produce"}}) {
    auto with_server = words;
    with_server.insert(with_server.begin(), {"-s", where, "--timeout", "2s"});
    const auto told = lnc(with_server);
    CHECK(told.code == exit_code::unavailable);
    CHECK(told.errors.find(where) != std::string::npos);
    CHECK(told.out.empty());
  }
}

TEST_CASE("what goes in comes out") {
  tiny_server there;
  const auto made = lnc_to(there.server(), {"produce", "--topic", "events"}, "one\n\nthree");
  CHECK(made.code == exit_code::done);
  CHECK(made.out == "acked 3\n");
  CHECK(made.errors == "lnc: created topic 'events'\n");
  CHECK(lnc_to(there.server(), {"consume", "--topic", "events"}).out == "one\n\nthree\n");
  CHECK(lnc_to(there.server(), {"consume", "--topic", "events", "-n", "1", "--hex"}).out ==
        "6f6e65\n");
  CHECK(lnc_to(there.server(), {"consume", "--topic", "events", "--raw"}).out.size() == 8 + 3 * 5);
}

TEST_CASE("what consume prints as JSON can be produced again, keys and bytes included") {
  tiny_server there;
  CHECK(lnc_to(there.server(), {"-q", "produce", "-t", "a", "--data", "\xff\xfe", "--key", "k1"})
            .code == exit_code::done);
  const auto lines = lnc_to(there.server(), {"consume", "-t", "a", "--json"}).out;
  const auto parsed = nlohmann::json::parse(lines);
  CHECK(parsed["key"] == "k1");
  CHECK(parsed["value_base64"] == "//4=");
  CHECK(parsed["offset"] == 0);
  CHECK(parsed["record"] == 0);

  tiny_server copy;
  CHECK(lnc_to(copy.server(), {"-q", "produce", "-t", "a", "--from-json"}, lines).out ==
        "acked 1\n");
  CHECK(lnc_to(copy.server(), {"consume", "-t", "a", "--json"}).out == lines);
}

TEST_CASE("a line that is no JSON record is named by its number") {
  tiny_server there;
  const auto told = lnc_to(there.server(), {"-q", "produce", "-t", "a", "--from-json"},
                           "{\"value\":\"x\"}\nno\n");
  CHECK(told.code == exit_code::failed);
  CHECK(told.out.empty());
  CHECK(told.errors.find("line 2") != std::string::npos);
  CHECK(told.errors.find("acknowledged: 1") != std::string::npos);
}

TEST_CASE("the JSON of produce tells what scripts need") {
  tiny_server there;
  const auto told = nlohmann::json::parse(
      lnc_to(there.server(), {"-q", "--json", "produce", "-t", "a", "--data", "hello"}).out);
  CHECK(told["acked"] == 1);
  CHECK(told["batches"] == 1);
  CHECK(told["bytes"] == 10);
  CHECK(told["end_offset"] == 10);
  CHECK(told["end_record"] == 1);
  CHECK(told["max_us"] >= told["p50_us"]);
}

TEST_CASE("codes of servers become exit codes") {
  tiny_server there;
  CHECK(lnc_to(there.server(), {"produce", "-t", "none", "--no-create", "--data", "x"}).code ==
        exit_code::not_found);
  CHECK(there.topics().empty());
  CHECK(lnc_to(there.server(), {"consume", "-t", "none"}).code == exit_code::not_found);
  CHECK(lnc_to(there.server(), {"topic", "describe", "x"}).code == exit_code::refused);
  CHECK(exit_code_of(failure{errc::corrupt, false, {}, {}, {}}) == exit_code::damaged);
  CHECK(exit_code_of(failure{errc::throttled, true, {}, {}, {}}) == exit_code::unavailable);
  CHECK(exit_code_of(failure{errc::topic_exists, false, {}, {}, {}}) == exit_code::failed);
}

TEST_CASE("places and partitions that are not there are told, nothing is made for them") {
  tiny_server there;
  CHECK(lnc_to(there.server(), {"produce", "-t", "a", "--partition", "1", "--data", "x"}).code ==
        exit_code::not_found);
  CHECK(there.topics().empty());
  CHECK(lnc_to(there.server(), {"produce", "-t", "a", "--data", "x"}).code == exit_code::done);
  CHECK(lnc_to(there.server(), {"consume", "-t", "a", "-o", "6"}).code == exit_code::done);
  const auto beyond = lnc_to(there.server(), {"consume", "-t", "a", "-o", "7"});
  CHECK(beyond.code == exit_code::failed);
  CHECK(beyond.errors.find("beyond the end, 6") != std::string::npos);
}

TEST_CASE("topic create hands the policy over in its units") {
  tiny_server there;
  const auto made =
      lnc_to(there.server(), {"topic", "create", "t", "--mode", "l2", "--durability", "written",
                              "--max-age", "7d", "--max-bytes", "10GiB", "--partitions", "3"});
  CHECK(made.code == exit_code::done);
  const auto topics = there.topics();
  REQUIRE(topics.size() == 1);
  const auto& policy = topics[0].policy;
  CHECK(policy.mode == ack_mode::l2);
  CHECK(policy.durability == durability::written);
  CHECK(policy.max_age_secs == 604'800);
  CHECK(policy.max_bytes == 10 * GiB);
  CHECK(policy.partitions == 3);
  CHECK(lnc_to(there.server(), {"topic", "list"}).out.find("7d, 10 GiB") != std::string::npos);
}

TEST_CASE("deleting off a terminal wants --yes, and asks nobody") {
  tiny_server there;
  static_cast<void>(lnc_to(there.server(), {"topic", "create", "t"}));
  const auto told = lnc_to(there.server(), {"topic", "delete", "t"}, "y\n");
  CHECK(told.code == exit_code::failed);
  CHECK(told.errors.find("--yes") != std::string::npos);
}

TEST_CASE("cluster status for people and for scripts") {
  tiny_server there;
  CHECK(lnc_to(there.server(), {"cluster", "status"}).out.find("standalone") != std::string::npos);
  const auto told =
      nlohmann::json::parse(lnc_to(there.server(), {"cluster", "status", "--json"}).out);
  CHECK(told["mode"] == "standalone");
}

TEST_CASE("completion scripts know every command and option") {
  for (const auto* shell : {"bash", "zsh", "fish"}) {
    const auto script = lnc({"completion", shell}).out;
    INFO(shell);
    for (const auto* word : {"lnc topic create", "--max-bytes", "--follow", "produce", "--server"})
      CHECK(script.find(word) != std::string::npos);
  }
}
