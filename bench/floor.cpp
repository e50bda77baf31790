// lance_floor: the machine's own limits, measured by bare loops and printed as one JSON object
// each: what a disk or loopback gives when nothing of the broker is in between.
#include <cstdio>

#include <CLI/CLI.hpp>

#include "bench/floor_disk.hpp"
#include "bench/floor_loopback.hpp"
#include "bench/floor_tls.hpp"

int main(int argc, char** argv) {
  using namespace lance::bench;
  CLI::App app{"Bare loops on disk and loopback"};
  app.require_subcommand(1);

  disk_write_plan writes;
  bool by_calls = false;
  bool unwritten = false;
  writes.file_bytes = 512ULL << 20;
  auto* write = app.add_subcommand("write", "aligned O_DIRECT writes, each flushed");
  write->add_option("--file", writes.path, "made when missing, kept")->required();
  write->add_option("--file-bytes", writes.file_bytes, "multiple of 1 MiB");
  write->add_option("--size", writes.write_bytes, "of one write, multiple of 4096");
  write->add_option("--seconds", writes.seconds, "");
  write->add_flag("--calls", by_calls, "pwrite and fdatasync instead of io_uring");
  write->add_flag("--unwritten", unwritten, "into a file that is only allocated");

  disk_read_plan reads;
  bool buffered = false;
  auto* read = app.add_subcommand("read", "files, one after the other");
  read->add_option("files", reads.paths, "")->required();
  read->add_option("--size", reads.read_bytes, "of one read, multiple of 4096");
  read->add_flag("--buffered", buffered, "through the page cache instead of O_DIRECT");

  round_trip_plan trips;
  auto* trip = app.add_subcommand("trip", "loopback requests and replies, both sides blocking");
  trip->add_option("--request", trips.request_bytes, "bytes");
  trip->add_option("--reply", trips.reply_bytes, "bytes");
  trip->add_option("--in-flight", trips.in_flight, "requests")->check(CLI::Range(1, 1024));
  trip->add_option("--seconds", trips.seconds, "");

  bulk_plan bulks;
  auto* bulk = app.add_subcommand("bulk", "loopback, one way");
  bulk->add_option("--piece", bulks.piece_bytes, "bytes");
  bulk->add_option("--seconds", bulks.seconds, "");

  handshake_plan handshakes;
  auto* shake = app.add_subcommand("handshakes", "full TLS handshakes between two processes");
  shake->add_option("--cert", handshakes.cert, "of the server, PEM")->required();
  shake->add_option("--key", handshakes.key, "of the server, PEM")->required();
  shake->add_option("--ca", handshakes.ca, "that the client believes, PEM")->required();
  shake->add_option("--count", handshakes.count, "")->check(CLI::Range(1, 1 << 20));

  CLI11_PARSE(app, argc, argv);
  writes.linked = !by_calls;
  writes.written = !unwritten;
  reads.direct = !buffered;
  const auto json = write->parsed()  ? measure_disk_writes(writes)
                    : read->parsed() ? measure_disk_reads(reads)
                    : trip->parsed() ? measure_round_trips(trips)
                    : bulk->parsed() ? measure_bulk(bulks)
                                     : measure_handshakes(handshakes);
  std::puts(json.dump().c_str());
}
