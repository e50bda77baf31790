"""Topics over LWP v1: names, ids, JSON, retention policies, deletion."""

import os
import struct
import time

import harness
import lwp


class Names(harness.SharedBroker):
    def test_the_whole_alphabet_and_the_longest_name(self):
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        names = [alphabet, "a", "Z", "9", "00", "a_b-c", "-", "--help", "_x", "n" * 255]
        for name in names:
            made = self.client.create(name)
            self.assertEqual(made["name"], name)
            self.client.ingest(name.encode(), made["id"])
            self.assert_stream(self.client, made["id"], name.encode())

    def test_everything_else_is_refused(self):
        for name in (b"", b"0", b"n" * 256, b"n" * 65536, b"a/b", b"../up", b"..", b".", b"a.b",
                     b"a\\b", b"a b", b" ", b"a\0", b"\0", b"a\n", "ä".encode(), b"\xff\xfe",
                     b"a:b", b"a*", b"a\x7f"):
            with self.subTest(name[:12]):
                self.assert_refused("INVALID_NAME INVALID_REQUEST", self.client.create, name)
                if len(name) <= 256:
                    self.assert_refused("INVALID_NAME INVALID_REQUEST",
                                        self.client.create_with_retention, name, 1, 1)

    def test_a_name_longer_than_its_payload_is_refused(self):
        for length in (5, 300, 65535):
            payload = struct.pack("<H", length) + b"abcd" + struct.pack("<QQ", 0, 0)[:8]
            with self.assertRaises(lwp.Refused):
                self.client.command(lwp.CREATE_WITH_RETENTION, payload)
        self.client.keepalive()

    def test_names_of_internal_logs_are_not_for_clients(self):
        for name in ("__meta", "__groups"):
            with self.assertRaises(lwp.Refused):
                self.client.create(name)
        self.client.keepalive()

    def test_case_matters(self):
        self.assertNotEqual(self.client.create("Case")["id"], self.client.create("case")["id"])


class Json(harness.SharedBroker):
    def check(self, topic, name):
        self.assertEqual(topic["name"], name)
        for key in ("id", "created_at", "topic_epoch"):
            self.assertIs(type(topic[key]), int, topic)
        self.assertGreaterEqual(topic["id"], 1)
        self.assertEqual(topic["topic_epoch"], 1)
        self.assertLess(abs(topic["created_at"] - time.time()), 60)

    def test_create_get_and_list_tell_the_same(self):
        made = self.client.create("told")
        self.check(made, "told")
        self.assertNotIn("retention", made)
        got = self.client.get(made["id"])
        self.check(got, "told")
        self.assertNotIn("retention", got)
        listed = [topic for topic in self.client.list() if topic["id"] == made["id"]]
        self.assertEqual(len(listed), 1)
        self.check(listed[0], "told")
        self.assertNotIn("retention", listed[0])
        for key in ("id", "name", "created_at", "topic_epoch"):
            self.assertEqual({made[key], got[key], listed[0][key]}, {made[key]})

    def test_a_policy_is_shown_where_the_client_looks_for_it(self):
        made = self.client.create_with_retention("kept", 86400, 2**40)
        self.check(made, "kept")
        self.assertEqual((made["max_age_secs"], made["max_bytes"]), (86400, 2**40))
        policy = {"max_age_secs": 86400, "max_bytes": 2**40}
        self.assertEqual(self.client.get(made["id"])["retention"], policy)
        self.assertEqual([t["retention"] for t in self.client.list() if t["name"] == "kept"],
                         [policy])

    def test_set_retention_changes_and_survives_a_restart(self):
        topic = self.client.create("changed")["id"]
        answer = self.client.set_retention(topic, 7, 2**63)
        self.assertEqual(answer, {"topic_id": topic, "max_age_secs": 7, "max_bytes": 2**63})
        policy = {"max_age_secs": 7, "max_bytes": 2**63}
        self.assertEqual(self.client.get(topic)["retention"], policy)
        self.broker.restart()
        with self.broker.client() as client:
            self.assertEqual(client.get(topic)["retention"], policy)

    def test_an_existing_name(self):
        first = self.client.create("twice")
        try:
            again = self.client.create("twice")
            self.assertEqual(again["id"], first["id"])
        except lwp.Refused as refused:
            self.assertEqual(refused.code, "TOPIC_EXISTS", refused.text)
        self.assert_refused("TOPIC_EXISTS", self.client.create_with_retention, "twice", 1, 1)
        self.assertEqual([t["id"] for t in self.client.list() if t["name"] == "twice"],
                         [first["id"]])


class Lifecycle(harness.Test):
    def test_a_fresh_broker_has_no_topics_and_ids_begin_above_zero(self):
        with harness.Broker() as broker, broker.client() as client:
            self.assertEqual(client.list(), [])
            client.ingest(b"the default topic is no topic of the list", 0)
            self.assertEqual(client.list(), [])
            self.assertEqual(client.create("first")["id"], 1)

    def test_ids_are_never_used_again(self):
        with harness.Broker() as broker:
            seen = []
            for round_number, again in enumerate((broker.restart, broker.crash, broker.restart)):
                with broker.client() as client:
                    for name in ("a", "b", "c"):
                        seen.append(client.create(f"{name}{round_number}")["id"])
                    # The newest id goes: the next start must still remember it.
                    client.delete(seen[-1])
                    seen.append(client.create(f"c{round_number}")["id"])
                    client.delete(seen[-1])
                again()
            with broker.client() as client:
                seen.append(client.create("last")["id"])
                self.assertEqual(len(client.list()), 7)
            self.assertEqual(seen, sorted(set(seen)))

    def test_topics_survive_restart_and_crash_as_they_were(self):
        with harness.Broker() as broker:
            with broker.client() as client:
                for number in range(30):
                    client.create(f"topic-{number}")
                client.create_with_retention("policy", 1000, 2000)
                before = sorted(client.list(), key=lambda topic: topic["id"])
            for again in (broker.restart, broker.crash):
                again()
                with broker.client() as client:
                    self.assertEqual(sorted(client.list(), key=lambda t: t["id"]), before)

    def test_a_deleted_topic_is_gone_for_every_request(self):
        with harness.Broker() as broker, broker.client() as client, broker.client() as other:
            keep, gone = client.create("keep")["id"], client.create("gone")["id"]
            client.ingest(b"kept", keep)
            client.ingest(b"lost", gone)
            client.commit(gone, 5, 2)
            client.delete(gone)
            unit = harness.Test()
            for peer in (client, other):
                for deed in (lambda p=peer: p.get(gone), lambda p=peer: p.delete(gone),
                             lambda p=peer: p.set_retention(gone, 1, 1),
                             lambda p=peer: p.subscribe(gone, 0, 5),
                             lambda p=peer: p.fetch(gone, 0), lambda p=peer: p.end(gone),
                             lambda p=peer: p.ingest(b"x", gone)):
                    unit.assert_refused("TOPIC_NOT_FOUND", deed)
            self.assertEqual([t["name"] for t in client.list()], ["keep"])
            again = client.create("gone")["id"]
            self.assertNotIn(again, (keep, gone))
            self.assertEqual(client.end(again), 0)
            self.assertEqual(client.subscribe(again, 0, 5), (5, 0))
            broker.crash()
            with broker.client() as after:
                self.assertEqual(sorted(t["name"] for t in after.list()), ["gone", "keep"])
                self.assertEqual(after.end(again), 0)
                self.assertEqual(after.read_all(keep), b"kept")
                unit.assert_refused("TOPIC_NOT_FOUND", after.get, gone)

    def test_the_data_of_a_deleted_topic_leaves_the_disk(self):
        with harness.Broker() as broker, broker.client() as client:
            topic = client.create("heavy")["id"]
            client.ingest(b"LEAVES-THE-DISK" * 1000, topic)
            client.delete(topic)

            def gone():
                for path in broker.segments():
                    with open(path, "rb") as file:
                        if b"LEAVES-THE-DISK" in file.read():
                            return False
                return True

            self.assertTrue(harness.wait_until(gone, 10))

    def test_deleted_while_its_log_is_being_opened(self):
        with harness.Broker() as broker, broker.client() as client, broker.client() as other:
            topic = client.create("first")["id"]
            for turn in range(1, 31):
                client.send(lwp.control(lwp.CREATE_TOPIC, b"short-lived"))
                other.send(lwp.control(lwp.DELETE_TOPIC, struct.pack("<I", topic + turn)))
                made, deleted = client.receive(), other.receive()
                self.assertIn(made.code, (lwp.TOPIC_RESPONSE, lwp.ERROR), repr(made))
                if deleted.code == lwp.ERROR:  # it came before the topic was made
                    client.delete(topic + turn)
            self.assertEqual([each["id"] for each in client.list()], [topic])
            kept = os.path.join(broker.data_dir, "segments", "short-lived")
            self.assertTrue(harness.wait_until(lambda: not os.listdir(kept), 10))
            client.ingest(b"and goes on", topic)
            self.assertEqual(broker.restart().client().read_all(topic), b"and goes on")

    def test_a_name_can_be_used_again_while_its_last_topic_is_being_deleted(self):
        with harness.Broker() as broker, broker.client() as client, broker.client() as other:
            topic = client.create("again")["id"]
            for turn in range(20):
                client.ingest(b"of turn %d" % turn, topic)
                client.send(lwp.control(lwp.DELETE_TOPIC, struct.pack("<I", topic)))
                made = other.command(lwp.CREATE_TOPIC, b"again")
                deleted = client.receive()
                self.assertEqual(deleted.code, lwp.TOPIC_RESPONSE, repr(deleted))
                if made.code == lwp.ERROR:  # it came before the deletion
                    topic = other.create("again")["id"]
                else:
                    topic = made.json()["id"]
                self.assertEqual(other.read_all(topic), b"")
            other.ingest(b"the last", topic)
            self.assertEqual(broker.crash().client().read_all(topic), b"the last")

    def test_logs_of_unknown_topics_are_set_aside_at_the_start(self):
        with harness.Broker() as broker:
            with broker.client() as client:
                client.ingest(b"whose", client.create("stranger")["id"])
                client.ingest(b"mine", client.create("known")["id"])
            broker.kill()
            segments = os.path.join(broker.data_dir, "segments")
            os.rename(os.path.join(segments, "stranger"), os.path.join(segments, "nobodys"))
            with broker.start().client() as client:
                self.assertIn("unknown_topic_set_aside", broker.log())
                moved = os.path.join(broker.data_dir, "quarantine", "topic-nobodys-0", "0")
                self.assertTrue(any(b"whose" in open(os.path.join(moved, name), "rb").read()
                                    for name in os.listdir(moved)))
                fresh = client.create("nobodys")["id"]
                client.ingest(b"new", fresh)
                self.assertEqual(client.read_all(fresh), b"new")

    def test_unknown_ids(self):
        with harness.Broker() as broker, broker.client() as client:
            for unknown in (1, 77, 2**32 - 1):
                for deed in (client.get, client.delete):
                    self.assert_refused("TOPIC_NOT_FOUND", deed, unknown)
                self.assert_refused("TOPIC_NOT_FOUND", client.set_retention, unknown, 1, 1)
                self.assert_refused("TOPIC_NOT_FOUND", client.subscribe, unknown, 0, 1)

    def test_topic_zero_outlives_an_attempt_to_delete_it(self):
        with harness.Broker() as broker, broker.client() as client:
            client.ingest(b"zero", 0)
            try:
                client.delete(0)
            except lwp.Refused:
                pass
            client.ingest(b"again", 0)
            self.assertIn(client.read_all(0), (b"zeroagain", b"again"))

    def test_many_topics(self):
        with harness.Broker() as broker, broker.client() as client:
            ids = [client.create(f"many-{number}")["id"] for number in range(200)]
            for topic in ids:
                client.ingest(struct.pack("<I", topic), topic)
            broker.crash()
            with broker.client() as again:
                self.assertEqual(sorted(t["id"] for t in again.list()), ids)
                for topic in ids:
                    self.assertEqual(again.read_all(topic), struct.pack("<I", topic))


if __name__ == "__main__":
    harness.main()
