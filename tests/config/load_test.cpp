#include "config/load.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>

#include "config/keys.hpp"
#include "config/print.hpp"
#include "config/values.hpp"

using namespace lance;
using namespace lance::config;

namespace {

using sentences = std::vector<std::string>;

// Exactly one sentence, with all of these words in it.
void says(const sentences& all, const std::vector<std::string>& words) {
  std::string joined;
  for (const auto& one : all)
    joined += one + '\n';
  INFO(joined);
  REQUIRE(all.size() == 1);
  for (const auto& word : words) {
    INFO("missing: " << word);
    CHECK(all[0].find(word) != std::string::npos);
  }
}

loaded read(const std::string& text) {
  return load_text(text, "lance.toml");
}

const auto& origin_of(const loaded& loaded, std::string_view path) {
  return loaded.origins.at(*find_key(path));
}

// Another value than the default that the key takes, as TOML.
std::string other_value(const key& key) {
  const config::config presets;
  switch (key.is) {
  case kind::boolean:
    return to_toml(key, presets) == "true" ? "false" : "true";
  case kind::integer:
  case kind::size:
  case kind::duration: {
    const auto least = std::to_string(key.least);
    auto number = std::to_string(key.least + 4096);
    if (key.most < key.least + 4096)
      number = std::to_string(key.most);
    config::config probe;
    REQUIRE(assign(key, probe, raw_value{static_cast<std::int64_t>(std::stoll(number))}).empty());
    return same(key, probe, presets) ? least : number;
  }
  case kind::ratio:
    return "0.5";
  case kind::text:
    return "\"some/where\"";
  case kind::address:
    return "\"127.0.0.9:7\"";
  case kind::choice:
    return '"' + std::string{words_of(key).back()} + '"' == to_toml(key, presets)
               ? '"' + std::string{words_of(key).front()} + '"'
               : '"' + std::string{words_of(key).back()} + '"';
  case kind::address_list:
    return "[\"a:1\", \"7@b:2\"]";
  case kind::integer_list:
    return "[3, 1]";
  }
  return {};
}

} // namespace

TEST_CASE("the example of the project's description loads verbatim") {
  const auto loaded = read(R"([node]
id = 1
data_dir = "/var/lib/lance"
[network]
bind = "0.0.0.0:9000"
nic_pci_addr = "0000:3b:00.0"
[io]
uring_sq_depth = 4096
batch_size = 262144 # 256KB
o_direct = true
[numa]
enabled = true
nic_node = 0
nvme_node = 0
[replication]
mode = "L1" # or "L2"
peers = ["lance-2:9000", "lance-3:9000"]
)");
  for (const auto& error : loaded.errors)
    UNSCOPED_INFO(error);
  REQUIRE(loaded.ok());
  CHECK(loaded.values.node.id == 1);
  CHECK(loaded.values.node.data_dir == "/var/lib/lance");
  CHECK(loaded.values.network.bind == "0.0.0.0:9000");
  CHECK(loaded.values.network.nic_pci_addr == "0000:3b:00.0");
  CHECK(loaded.values.io.uring_sq_depth == 4096);
  CHECK(loaded.values.io.batch_size == 262144);
  CHECK(loaded.values.io.o_direct);
  CHECK(loaded.values.numa.nic_node == 0);
  CHECK(loaded.values.replication.mode == ack_mode::l1);
  CHECK(loaded.values.replication.peers == sentences{"lance-2:9000", "lance-3:9000"});
  REQUIRE(loaded.notices.size() == 2);
  CHECK(loaded.notices[0].find("open to the network") != std::string::npos);
  CHECK(loaded.notices[1].find("replication is not built yet: this node runs alone") !=
        std::string::npos);
}

TEST_CASE("nothing given is the defaults, without a word") {
  const auto loaded = load({});
  CHECK(loaded.ok());
  CHECK(loaded.notices.empty());
  for (std::size_t i = 0; i < keys().size(); ++i) {
    CHECK(same(keys()[i], loaded.values, config::config{}));
    CHECK(loaded.origins[i].from == source::preset);
  }
}

TEST_CASE("every key can be set in the file, by environment, and prints again as it was set") {
  for (const auto& key : keys()) {
    const auto value = other_value(key);
    INFO(key.path() << " = " << value);
    const auto from_file =
        read('[' + std::string{key.section} + "]\n" + std::string{key.name} + " = " + value);
    CHECK_FALSE(same(key, from_file.values, config::config{}));
    CHECK(origin_of(from_file, key.path()).place() == "lance.toml:2");
    for (const auto& other : keys())
      if (other.path() != key.path())
        CHECK(same(other, from_file.values, config::config{}));

    // What was printed reads as the same value.
    const auto again = read('[' + std::string{key.section} + "]\n" + std::string{key.name} + " = " +
                            to_toml(key, from_file.values));
    CHECK(same(key, again.values, from_file.values));

    auto text = value;
    std::erase_if(text, [](char c) { return c == '"' || c == '[' || c == ']'; });
    load_request request;
    request.environment = {{key.environment(), text}};
    const auto from_environment = load(request);
    CHECK(same(key, from_environment.values, from_file.values));
    CHECK(origin_of(from_environment, key.path()).place() == key.environment());
  }
}

TEST_CASE("every key refuses a value of another shape, with its line and what it takes") {
  for (const auto& key : keys()) {
    INFO(key.path());
    const auto bad = read("# a comment\n[" + std::string{key.section} + "]\n" +
                          std::string{key.name} + " = 1979-05-27T07:32:00Z");
    says(bad.errors, {"lance.toml:3: " + key.path() + " takes "});
    CHECK(same(key, bad.values, config::config{}));
  }
}

TEST_CASE("every numeric key keeps its bounds") {
  for (const auto& key : keys()) {
    if (key.is != kind::integer && key.is != kind::size && key.is != kind::duration)
      continue;
    INFO(key.path());
    config::config values;
    CHECK_FALSE(assign(key, values, raw_value{key.least - 1}).empty());
    CHECK(assign(key, values, raw_value{key.least}).empty());
    CHECK(assign(key, values, raw_value{key.most}).empty());
    if (key.most < std::numeric_limits<std::int64_t>::max())
      CHECK_FALSE(assign(key, values, raw_value{key.most + 1}).empty());
  }
}

TEST_CASE("the table is whole: sections, names, comments and defaults fit") {
  sentences paths;
  for (const auto& key : keys()) {
    INFO(key.path());
    CHECK(std::any_of(sections().begin(), sections().end(),
                      [&](const auto& section) { return section.name == key.section; }));
    CHECK(std::count(paths.begin(), paths.end(), key.path()) == 0);
    paths.push_back(key.path());
    CHECK(key.comment.ends_with('.'));
    CHECK((key.today == state::built) == key.feature.empty());
    const auto alone = read('[' + std::string{key.section} + "]\n" + std::string{key.name} + " = " +
                            to_toml(key, config::config{}));
    CHECK(alone.ok()); // the default is a value the key takes
    CHECK(same(key, alone.values, config::config{}));
  }
}

TEST_CASE("a flag beats the environment, which beats the file") {
  load_request request;
  request.environment = {{"LANCE_NODE_ID", "2"}, {"LANCE_IO_READ_DEPTH", "20"}, {"PATH", "/bin"}};
  request.flags = {{"node.id", "3"}};
  const auto loaded =
      load_text("[node]\nid = 1\n[io]\nread_depth = 10\nuring_sq_depth = 512\n", "l.toml", request);
  REQUIRE(loaded.ok());
  CHECK(loaded.values.node.id == 3);
  CHECK(loaded.values.io.read_depth == 20);
  CHECK(loaded.values.io.uring_sq_depth == 512);
  CHECK(origin_of(loaded, "node.id").place() == "--node-id");
  CHECK(origin_of(loaded, "io.read_depth").place() == "LANCE_IO_READ_DEPTH");
  CHECK(origin_of(loaded, "io.uring_sq_depth").place() == "l.toml:5");
  CHECK(origin_of(loaded, "io.o_direct").place() == "default");
}

TEST_CASE("units are understood where a key has one") {
  const auto loaded = read("[io]\nsegment_bytes = \"64MiB\"\nlinger_us = \"2ms\"\n"
                           "tail_cache_bytes = \"10MB\"\n[retention]\ninterval_s = \"2h\"\n");
  REQUIRE(loaded.ok());
  CHECK(loaded.values.io.segment_bytes == 64 * MiB);
  CHECK(loaded.values.io.linger_us == 2000);
  CHECK(loaded.values.io.tail_cache_bytes == 10'000'000);
  CHECK(loaded.values.retention.interval_s == 7200);
  says(read("[node]\nid = \"7\"").errors, {"node.id takes a whole number, 0 to 65535"});
}

TEST_CASE("unknown keys and sections name the line and the nearest one") {
  says(read("[network]\nbnid = \"x:1\"").errors,
       {"lance.toml:2: network.bnid is not a key", "did you mean network.bind?"});
  says(read("[network]\nbatch_size = 1").errors, {"did you mean io.batch_size?"});
  says(read("[netwrok]\nbind = 1").errors, {"lance.toml:1:", "did you mean network?"});
  says(read("id = 4").errors, {"lance.toml:1:", "did you mean node.id?"});
  says(read("network = 4").errors, {"network is a section"});
  says(read("[nothing_like_it]").errors, {"is not a section or key"});
  CHECK(read("[nothing_like_it]").errors[0].find("mean") == std::string::npos);
}

TEST_CASE("broken TOML is one error with its line") {
  says(read("[node]\nid = \n").errors, {"lance.toml:2: "});
  says(read("[node]\nid = 1\nid = 2\n").errors, {"lance.toml:3: "});
}

TEST_CASE("several errors are said at once, in the order of the file") {
  const auto loaded = read("[disk]\nwarn = 2.0\n[node]\nid = 70000\nnmae = 1\n");
  REQUIRE(loaded.errors.size() == 3);
  CHECK(loaded.errors[0].starts_with("lance.toml:2: disk.warn"));
  CHECK(loaded.errors[1].starts_with("lance.toml:4: node.id"));
  CHECK(loaded.errors[2].starts_with("lance.toml:5: node.nmae"));
}

TEST_CASE("the environment: slips are errors, the platform's variables are noticed") {
  load_request request;
  request.environment = {{"LANCE_NODE_IDD", "1"}};
  says(load(request).errors, {"LANCE_NODE_IDD", "did you mean LANCE_NODE_ID?"});
  request.environment = {{"LANCE_SERVICE_HOST", "10.0.0.1"}, {"LANCE_SERVER", "h:1992"}};
  CHECK(load(request).ok());
  says(load(request).notices, {"LANCE_SERVICE_HOST"});
  request.environment = {{"LANCE_NODE_ID", "many"}};
  says(load(request).errors, {"LANCE_NODE_ID: node.id takes a whole number"});
  request.environment = {{"LANCE_LANES_CPUS", "3, 4,5"}};
  CHECK(load(request).values.lanes.cpus == std::vector<std::int64_t>{3, 4, 5});
}

TEST_CASE("a flag that no key has is an error of its own") {
  load_request request;
  request.flags = {{"node.idd", "1"}};
  says(load(request).errors, {"node.idd"});
}

TEST_CASE("a file that is not there is an error") {
  load_request request;
  request.file = "/not/there/lance.toml";
  says(load(request).errors, {"/not/there/lance.toml: cannot be read"});
}

TEST_CASE("a file on disk is read like its text") {
  const auto path =
      (std::filesystem::temp_directory_path() / ("lance_" + std::to_string(::getpid()) + ".toml"))
          .string();
  std::ofstream{path} << "[node]\nid = 9\n";
  load_request request;
  request.file = path;
  const auto loaded = load(request);
  std::remove(path.c_str());
  REQUIRE(loaded.ok());
  CHECK(loaded.values.node.id == 9);
  CHECK(origin_of(loaded, "node.id").place() == path + ":2");
}

TEST_CASE("the environment of this process is found") {
  ::setenv("LANCE_TEST_VALUE", "a=b", 1);
  const auto all = process_environment();
  ::unsetenv("LANCE_TEST_VALUE");
  CHECK(std::count(all.begin(), all.end(),
                   std::pair<std::string, std::string>{"LANCE_TEST_VALUE", "a=b"}) == 1);
}

TEST_CASE("mangled files never do worse than an error") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random{seed};
  const auto whole = gen_config();
  for (int round = 0; round < 300; ++round) {
    auto text = whole;
    for (int i = 0; i < 3; ++i) {
      const auto at = random() % text.size();
      if (random() % 2 == 0)
        text[at] = static_cast<char>(random());
      else
        text.erase(at, random() % 40);
    }
    const auto loaded = read(text);
    CHECK(loaded.origins.size() == keys().size());
  }
}
