#include "config/print.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <sstream>

#include "config/keys.hpp"
#include "config/values.hpp"

using namespace lance::config;

TEST_CASE("the generated file names every key and loads as the defaults") {
  const auto text = gen_config();
  const auto loaded = load_text(text, "generated");
  CHECK(loaded.ok());
  CHECK(loaded.notices.empty());
  for (std::size_t i = 0; i < keys().size(); ++i) {
    INFO(keys()[i].path());
    CHECK(loaded.origins[i].from == source::file);
    CHECK(same(keys()[i], loaded.values, config{}));
    CHECK(text.find("# " + std::string{keys()[i].comment}) != std::string::npos);
  }
}

TEST_CASE("config/lance.toml is the generated file") {
  std::ifstream file{std::string{LANCE_SOURCE_DIR} + "/config/lance.toml"};
  std::stringstream text;
  text << file.rdbuf();
  CHECK(text.str() == gen_config()); // lance --gen-config config/lance.toml writes it anew
}

TEST_CASE("printed values carry their origin and could be loaded again") {
  load_request request;
  request.flags = {{"node.id", "12"}};
  request.environment = {{"LANCE_NODE_DATA_DIR", "/tmp/a \"b\"\\c\n"}};
  const auto loaded = load_text("[io]\nread_depth = 3\n", "l.toml", request);
  const auto text = print_config(loaded);
  CHECK(text.find("id = 12  # --node-id\n") != std::string::npos);
  CHECK(text.find("read_depth = 3  # l.toml:2\n") != std::string::npos);
  CHECK(text.find("batch_size = 262144  # 256KiB, default\n") != std::string::npos);
  CHECK(text.find("o_direct = true  # default\n") != std::string::npos);
  CHECK(text.find("# LANCE_NODE_DATA_DIR\n") != std::string::npos);
  const auto again = load_text(text, "printed");
  for (const auto& key : keys())
    CHECK(same(key, again.values, loaded.values));
}
