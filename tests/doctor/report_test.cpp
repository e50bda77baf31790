#include "actors/doctor/report.hpp"

#include <vector>

#include <catch2/catch.hpp>

namespace lance::actors::doctor {
namespace {

const finding good{"kernel", status::ok, "Linux 6.1", "it matters", ""};
const finding skipped{"tls", status::skip, "not set", "it matters", ""};
const finding warned{"clock", status::warn, "not synchronised", "it matters", "set-ntp true"};
const finding failed{"ports", status::fail, "taken", "it matters", "ss -ltnp"};

} // namespace

TEST_CASE("the worst finding decides the exit code, and what is skipped does not count") {
  CHECK(exit_code_of(std::vector<finding>{}) == 0);
  CHECK(exit_code_of(std::vector{good, skipped}) == 0);
  CHECK(exit_code_of(std::vector{warned, good, skipped}) == 1);
  CHECK(exit_code_of(std::vector{good, failed, warned}) == 2);
}

TEST_CASE("text: a line each, reason and remedy only below what is wrong") {
  CHECK(as_text(std::vector{good, warned, failed, skipped}) == "ok    kernel  Linux 6.1\n"
                                                               "warn  clock   not synchronised\n"
                                                               "              why: it matters\n"
                                                               "              fix: set-ntp true\n"
                                                               "fail  ports   taken\n"
                                                               "              why: it matters\n"
                                                               "              fix: ss -ltnp\n"
                                                               "skip  tls     not set\n"
                                                               "\n1 ok, 1 warn, 1 fail, 1 skip\n");
}

TEST_CASE("JSON: one object, also where a path is no UTF-8") {
  CHECK(as_json(std::vector{warned}) ==
        R"({"status":"warn","exit_code":1,"checks":[{"name":"clock","status":"warn",)"
        R"("what":"not synchronised","why":"it matters","fix":"set-ntp true"}]})"
        "\n");
  auto odd = good;
  odd.what = "/data/\xff";
  CHECK(as_json(std::vector{odd}).find("/data/\xEF\xBF\xBD") != std::string::npos);
}

} // namespace lance::actors::doctor
