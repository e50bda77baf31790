"""Configuration, flags, environment, ready file, health endpoints and metrics of `lance`."""

import json
import os
import re
import tomllib

import harness

MISSION = '''[node]
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
'''


class CommandLine(harness.Test):
    """Runs that end by themselves."""

    def setUp(self):
        self.root = harness.temp_dir()

    def write(self, text, name="lance.toml"):
        path = os.path.join(self.root, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def lance(self, *words, **options):
        return harness.run(harness.program("lance"), *words, cwd=self.root, timeout=20, **options)

    def check(self, text, **options):
        return self.lance("--config", self.write(text), "--check", **options)

    def test_the_mission_s_file_loads_verbatim(self):
        outcome = self.check(MISSION)
        self.assertEqual(outcome.code, 0, outcome)

    def test_an_empty_file_is_a_configuration(self):
        self.assertEqual(self.check("").code, 0)
        self.assertEqual(self.lance("--check").code, 0)

    def test_an_unknown_key_is_named_with_its_line_and_the_nearest_valid_one(self):
        for text, line, wrong, nearest in (
                ("[io]\no_direct = true\nuring_sq_dept = 12\n", 3, "uring_sq_dept",
                 "uring_sq_depth"),
                ("[network]\n\nbnid = \"127.0.0.1:1\"\n", 3, "bnid", "bind"),
                ("[netwrok]\nbind = \"127.0.0.1:1\"\n", 1, "netwrok", "network")):
            outcome = self.check(text)
            self.assertNotEqual(outcome.code, 0)
            self.assertGreater(outcome.code, 0)
            said = outcome.errors + outcome.text
            self.assertIn(wrong, said)
            self.assertIn(nearest, said)
            self.assertRegex(said, rf"(line |:){line}\b")

    def test_wrong_values_are_refused_with_their_line(self):
        for text in ("[io]\nbackend = \"magic\"\n", "[io]\nsegment_bytes = \"many\"\n",
                     "[io]\nsegment_bytes = -1\n", "[io]\nsegment_bytes = 1\n",
                     "[node]\nid = 70000\n", "[network]\nbind = \"nowhere\"\n",
                     "[network]\nbind = \"127.0.0.1:70000\"\n", "[disk]\nwarn = 7\n",
                     "[io]\no_direct = \"perhaps\"\n", "[log]\nlevel = \"loud\"\n"):
            with self.subTest(text):
                outcome = self.check(text)
                self.assertGreater(outcome.code, 0, outcome)
                self.assertRegex(outcome.errors + outcome.text, r"(line |:)2\b")

    def test_broken_toml_and_missing_files_are_errors(self):
        self.assertGreater(self.check("[io\n").code, 0)
        self.assertGreater(self.check("[io]\nbatch_size = 1\nbatch_size = 2\n").code, 0)
        outcome = self.lance("--config", os.path.join(self.root, "absent.toml"), "--check")
        self.assertGreater(outcome.code, 0)
        self.assertIn("absent.toml", outcome.errors)

    def test_l3_means_l2_and_other_modes_are_refused(self):
        outcome = self.check('[replication]\nmode = "L4"\n')
        self.assertGreater(outcome.code, 0)
        self.assertIn("L1", outcome.errors + outcome.text)

    def test_unknown_flags_are_errors(self):
        for words in (("--lissten", "127.0.0.1:0"), ("--node-id", "banana", "--check"), ("what",)):
            outcome = self.lance(*words)
            self.assertEqual(outcome.code, 2, words)
            self.assertIn(words[0].partition("=")[0], outcome.errors)

    def test_an_unknown_flag_is_answered_with_the_nearest_one(self):
        for words, nearest in ((("--lissten", "127.0.0.1:0"), "--listen"),
                               (("--nod-id=3",), "--node-id"), (("--print-confg",),
                                                                "--print-config")):
            outcome = self.lance(*words)
            self.assertEqual(outcome.code, 2, words)
            self.assertIn(f"did you mean {nearest}?", outcome.errors)
        self.assertNotIn("did you mean", self.lance("--entirely-else").errors)

    def test_an_unknown_environment_key_is_an_error_that_names_the_nearest(self):
        outcome = self.lance("--check", env={"LANCE_IO_BACKNED": "pwritev"})
        self.assertGreater(outcome.code, 0)
        self.assertIn("LANCE_IO_BACKEND", outcome.errors + outcome.text)

    def test_help_and_version(self):
        for word in ("-h", "--help"):
            outcome = self.lance(word)
            self.assertEqual(outcome.code, 0)
            for flag in ("--config", "--listen", "--data-dir", "--ready-file"):
                self.assertIn(flag, outcome.text)
        self.assertRegex(self.lance("-V").text, r"\d+\.\d+\.\d+")

    def test_the_generated_file_has_every_section_and_loads_as_it_is(self):
        path = os.path.join(self.root, "generated.toml")
        outcome = self.lance("--gen-config", path)
        self.assertEqual(outcome.code, 0, outcome)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for section in ("node", "network", "http", "metrics", "lanes", "io", "numa", "durability",
                        "retention", "disk", "tls", "auth", "cluster", "groups", "quota", "log",
                        "tee", "replication"):
            self.assertIn(f"[{section}]", text)
        tomllib.loads(text)
        self.assertEqual(self.lance("--config", path, "--check").code, 0)
        printed = self.lance("--print-config").text
        self.assertEqual(tomllib.loads(self.lance("--config", path, "--print-config").text),
                         tomllib.loads(printed))

    def test_print_config_shows_values_with_their_origin(self):
        path = self.write("[io]\nsegment_bytes = 67108864\nlinger_us = 5\n"
                          "[node]\nid = 3\n[log]\nlevel = \"warning\"\n")
        outcome = self.lance("--config", path, "--print-config", "--node-id", "5",
                             env={"LANCE_IO_LINGER_US": "6", "LANCE_NODE_ID": "4"})
        self.assertEqual(outcome.code, 0, outcome)
        values = tomllib.loads(outcome.text)
        self.assertEqual(values["node"]["id"], 5, "a flag is above the environment")
        self.assertEqual(values["io"]["linger_us"], 6, "the environment is above the file")
        self.assertEqual(values["io"]["segment_bytes"], 67108864, "the file is above the default")
        self.assertEqual(values["log"]["level"], "warning")

        def origin(section, key):
            text = re.search(rf"^\[{section}\]$(.*?)(?=^\[|\Z)", outcome.text, re.M | re.S)[1]
            (line,) = re.findall(rf"^{key} = .*$", text, re.MULTILINE)
            return line.partition("#")[2].strip()

        self.assertIn("--node-id", origin("node", "id"))
        self.assertIn("LANCE_IO_LINGER_US", origin("io", "linger_us"))
        self.assertIn("lance.toml:2", origin("io", "segment_bytes"))
        self.assertIn("lance.toml:7", origin("log", "level"))
        self.assertIn("default", origin("io", "uring_sq_depth"))

    def test_check_touches_nothing(self):
        self.lance("--data-dir", os.path.join(self.root, "data"), "--check")
        self.assertFalse(os.path.exists(os.path.join(self.root, "data")))


class Starting(harness.Test):
    def test_the_mission_s_file_starts_with_flags_for_this_machine(self):
        # Peers are for the cluster to come: a node that cannot serve them must say so, not guess.
        alone = MISSION.replace('peers = ["lance-2:9000", "lance-3:9000"]', "peers = []")
        with harness.Broker(config=alone) as broker, broker.client() as client:
            self.assertEqual(broker.ready["node"], 1)
            client.ingest(b"works", 0)
            self.assertEqual(client.read_all(0), b"works")
            self.assertFalse(os.path.exists("/var/lib/lance/node.json"))

    def test_environment_alone_can_configure_everything(self):
        root = harness.temp_dir()
        environment = {"LANCE_NODE_ID": "9", "LANCE_NODE_DATA_DIR": os.path.join(root, "there"),
                       "LANCE_NETWORK_BIND": "127.0.0.1:0", "LANCE_HTTP_BIND": "127.0.0.1:0",
                       "LANCE_METRICS_BIND": "127.0.0.1:0"}
        with harness.Broker(config=None, env=environment, root=root, data_dir=False,
                            addresses=False) as broker, broker.client() as client:
            self.assertEqual(broker.ready["node"], 9)
            self.assertEqual(client.cluster_status()["node_id"], 9)
            client.ingest(b"x", 0)
            self.assertTrue(os.path.exists(os.path.join(root, "there", "node.json")))

    def test_the_ready_file_tells_everything(self):
        with harness.Broker() as broker:
            self.assertEqual(broker.ready["pid"], broker.process.pid)
            self.assertEqual(broker.ready["node"], 0)
            for name in ("lwp", "http", "metrics"):
                host, port = broker.address(name)
                self.assertEqual(host, "127.0.0.1")
                self.assertGreater(port, 0)
            self.assertEqual(len({broker.address(n) for n in ("lwp", "http", "metrics")}), 3)
            directory = os.listdir(broker.root)
            self.assertFalse([name for name in directory if "ready" in name
                              and name != "ready.json"], "written by rename, nothing left over")

    def test_an_address_in_use_is_an_error_that_names_it(self):
        with harness.Broker() as broker:
            taken = "%s:%d" % broker.address()
            other = harness.Broker(args=["--listen", taken], addresses=False,
                                   env={"LANCE_HTTP_BIND": "127.0.0.1:0",
                                        "LANCE_METRICS_BIND": "127.0.0.1:0"})
            with self.assertRaises(harness.StartFailed) as caught:
                other.start(seconds=10)
            self.assertGreaterEqual(caught.exception.code or -1, 1)
            self.assertIn(taken, caught.exception.log)

    def test_a_data_directory_that_cannot_be_made_is_an_error_that_names_it(self):
        broker = harness.Broker(data_dir="/proc/nowhere")
        with self.assertRaises(harness.StartFailed) as caught:
            broker.start(seconds=10)
        self.assertGreaterEqual(caught.exception.code or -1, 1)
        self.assertIn("/proc/nowhere", caught.exception.log.split("\n", 1)[1])

    def test_promises_that_are_not_kept_yet_refuse_to_start(self):
        for name, text in (("tee", "[tee]\nenabled = true\n"),):
            with self.subTest(name):
                broker = harness.Broker(config=text)
                with self.assertRaises(harness.StartFailed) as caught:
                    broker.start(seconds=10)
                self.assertGreaterEqual(caught.exception.code or -1, 1)
                self.assertIn(name, caught.exception.log.split("\n", 1)[1])

    def test_the_backend_can_be_chosen_and_is_named_at_the_start(self):
        with harness.Broker(env={"LANCE_IO_BACKEND": "pwritev"}) as broker:
            self.assertIn("pwritev", broker.log())
            with broker.client() as client:
                client.ingest(b"x", 0)


class Health(harness.SharedBroker):
    def assert_json(self, path, status, body, method="GET"):
        got_status, content_type, text = self.broker.http(path, method)
        self.assertEqual(got_status, status, f"{method} {path}: {text}")
        self.assertTrue(content_type.startswith("application/json"), content_type)
        self.assertEqual(json.loads(text), body, f"{method} {path}")

    def test_probes(self):
        self.assert_json("/health/live", 200, {"status": "alive"})
        self.assert_json("/health/ready", 200, {"status": "ready", "data_plane_ready": True,
                                                "coordinator_ready": True})
        self.assert_json("/health/startup", 200, {"status": "started"})
        self.assert_json("/health", 200, {"alive": True, "ready": True, "data_plane_ready": True,
                                          "coordinator_ready": True, "startup_complete": True})

    def test_admin(self):
        _, _, text = self.broker.http("/admin/info")
        info = json.loads(text)
        self.assertRegex(info["version"], r"^\d+\.\d+\.\d+")
        self.assertIs(type(info["build"]), str)
        self.assertIs(type(info["uptime_secs"]), int)
        status, _, text = self.broker.http("/admin/config")
        self.assertEqual((status, json.loads(text)["status"]), (200, "ok"))

    def test_readiness_can_be_taken_away_and_given_back(self):
        self.assert_json("/admin/ready", 200, {"status": "not_ready", "action": "disabled"},
                         "DELETE")
        status, _, text = self.broker.http("/health/ready")
        self.assertEqual((status, json.loads(text)["status"]), (503, "not_ready"))
        status, _, text = self.broker.http("/health")
        self.assertEqual((status, json.loads(text)["ready"]), (503, False))
        self.assert_json("/health/live", 200, {"status": "alive"})
        self.client.ingest(b"served all the same", 0)
        self.assert_json("/admin/ready", 200, {"status": "ready", "action": "enabled"}, "POST")
        self.assertEqual(self.broker.http("/health/ready")[0], 200)

    def test_everything_else_is_not_found(self):
        for method, path in (("GET", "/"), ("GET", "/health/"), ("GET", "/health/none"),
                             ("GET", "/../../etc/passwd"), ("POST", "/health/live"),
                             ("GET", "/admin/ready")):
            status, _, text = self.broker.http(path, method)
            self.assertEqual((status, json.loads(text)), (404, {"error": "not_found"}),
                             f"{method} {path}")


class MetricsText(harness.SharedBroker):
    COUNTERS = ("records_ingested_total", "bytes_ingested_total", "batches_written_total",
                "bytes_written_total", "io_ops_submitted_total", "io_ops_completed_total",
                "connections_total", "crc_failures_total", "backpressure_events_total",
                "pool_exhausted_total", "reads_total", "read_bytes_total")
    HISTOGRAMS = ("ingest", "fetch", "io_write", "io_flush", "ack")

    def test_names_types_and_units(self):
        self.client.ingest(b"x", 0)
        metrics = self.broker.metrics()
        for name in self.COUNTERS:
            self.assertTrue(metrics.has(f"lance_{name}"), name)
            self.assertEqual(metrics.types[f"lance_{name}"], "counter")
        self.assertEqual(metrics.types["lance_connections_active"], "gauge")
        for name in self.HISTOGRAMS:
            full = f"lance_{name}_latency_seconds"
            self.assertEqual(metrics.types.get(full), "histogram", full)
        for name in metrics.types:
            self.assertRegex(name, r"^lance_[a-z0-9_]+$")
            if metrics.types[name] == "counter":
                self.assertTrue(name.endswith("_total"), name)

    def test_every_sample_belongs_to_a_type_and_histograms_add_up(self):
        metrics = self.broker.metrics()
        for name, labels, _ in metrics.samples:
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            self.assertTrue(name in metrics.types or family in metrics.types, name)
            self.assertNotIn("topic", labels, "no unbounded labels")
        for family, kind in metrics.types.items():
            if kind == "histogram":
                self.assertEqual(metrics.value(family + "_bucket", le="+Inf"),
                                 metrics.value(family + "_count"), family)

    def test_what_happens_is_counted(self):
        before = self.broker.metrics()
        topic = self.topic()
        for _ in range(50):
            self.client.ingest(b"r" * 100, topic, records=4)
        self.client.read_all(topic, 1000)

        def grown(name, by):
            return self.broker.wait_metric(name, before.value(name) + by)

        self.assertTrue(grown("lance_batches_written_total", 50))
        self.assertTrue(grown("lance_records_ingested_total", 200))
        self.assertTrue(grown("lance_bytes_ingested_total", 5000))
        self.assertTrue(grown("lance_bytes_written_total", 5000))
        self.assertTrue(grown("lance_io_ops_submitted_total", 1))
        self.assertTrue(grown("lance_io_ops_completed_total", 1))
        self.assertTrue(grown("lance_reads_total", 5))
        self.assertTrue(grown("lance_read_bytes_total", 5000))
        for name in ("ingest", "ack", "io_write", "io_flush"):
            self.assertTrue(grown(f"lance_{name}_latency_seconds_count", 1), name)
        after = self.broker.metrics()
        self.assertLess(after.quantile("lance_ack_latency_seconds", 0.5), 5.0)
        self.assertGreater(after.value("lance_ack_latency_seconds_sum"), 0)

    def test_the_load_of_the_last_second_and_of_the_memory(self):
        topic = self.topic()
        names = [f"lance_{deed}_{what}_per_second" for deed in ("ingest", "read")
                 for what in ("ops", "bytes")] + ["lance_memory_saturation_ratio"]
        seen = dict.fromkeys(names, 0.0)

        def all_seen():
            for _ in range(20):
                self.client.ingest(b"r" * 1000, topic)
                self.client.fetch(topic, 0)
            now = self.broker.metrics()
            seen.update({name: max(seen[name], now.value(name)) for name in names})
            return all(seen.values())

        self.assertTrue(harness.wait_until(all_seen), seen)
        self.assertGreater(seen["lance_ingest_bytes_per_second"],
                           100 * seen["lance_ingest_ops_per_second"])
        self.assertLessEqual(seen["lance_memory_saturation_ratio"], 1)
        self.assertTrue(harness.wait_until(
            lambda: self.broker.metrics().value("lance_ingest_ops_per_second") == 0))

    def test_a_node_alone_is_a_healthy_cluster_of_one(self):
        metrics = self.broker.metrics()
        status = self.client.cluster_status()
        for name, value in (("leader_id", status["leader_id"]),
                            ("current_term", status["current_term"]),
                            ("nodes", status["node_count"]),
                            ("healthy_nodes", status["healthy_nodes"]),
                            ("is_leader", status["is_leader"]),
                            ("quorum_available", status["quorum_available"]),
                            ("leader_ready", 1), ("coordinator_ready", 1)):
            self.assertTrue(metrics.has(f"lance_cluster_{name}"), name)
            self.assertEqual(metrics.value(f"lance_cluster_{name}"), value, name)

    def test_stages_on_the_way_in_are_timed(self):
        for stage in ("parse", "queue", "write", "flush", "ack"):
            def count(stage=stage):
                return self.broker.metrics().value("lance_stage_seconds_count", stage=stage)

            before = count()
            for _ in range(10):
                self.client.ingest(b"x", 0)
            self.assertTrue(harness.wait_until(lambda: count() >= before + 10), stage)

    def test_reads_of_the_disk_are_counted_and_end(self):
        topic = self.topic()
        payload = b"x" * 4_000_000
        for _ in range(30):  # more than any tail cache keeps
            self.client.ingest(payload, topic, timeout=30)

        def count(what):
            return self.broker.metrics().value(f"lance_io_ops_{what}_total")

        before = count("completed")
        self.client.read(topic, 0, len(payload))
        self.assertTrue(harness.wait_until(lambda: count("completed") >= before + 4), "reads count")
        self.assertTrue(harness.wait_until(lambda: count("completed") == count("submitted")))
        self.assertTrue(harness.wait_until(
            lambda: self.broker.metrics().value("lance_pending_io") == 0))

    def test_the_text_is_what_prometheus_asks_for(self):
        status, content_type, text = self.broker.http("/metrics", name="metrics")
        self.assertEqual(status, 200)
        self.assertTrue(content_type.startswith("text/plain"), content_type)
        self.assertTrue(text.endswith("\n"))


if __name__ == "__main__":
    harness.main()
