"""Quotas: rates are held on average, whoever is within his own is not touched, and what would have
to wait too long is refused with a time, which our own client keeps to."""

import json
import os
import threading
import time

import harness
import lwp
from auth_test import Access, authenticate

RATE = 2 << 20  # bytes a second
FRAME = 64 << 10
CONFIG = harness.SMALL_SEGMENTS


def quota(**keys):
    return CONFIG + "[quota]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())


def send_for(client, topic, seconds, frame=FRAME):
    """Bytes acknowledged, one frame at a time, and how long that took."""
    begin, sent, payload = time.monotonic(), 0, os.urandom(frame)
    while time.monotonic() - begin < seconds:
        client.ingest(payload, topic)
        sent += frame
    return sent, time.monotonic() - begin


class Rates(harness.Test):
    def broker(self, **keys):
        broker = harness.Broker(config=quota(**keys))
        self.addCleanup(broker.kill)
        broker.start()
        return broker

    def assert_held(self, broker, sent, seconds):
        # A second's worth is there at the start, and a frame may go into debt.
        self.assertLess(sent, RATE * (seconds + 1) + 2 * FRAME)
        self.assertGreater(sent, RATE * seconds / 3, "the limit is not a wall")
        self.assertGreater(broker.metrics().value("lance_quota_held_total"), 0)
        self.assertIn("over_quota", broker.log())

    def test_a_connection_sends_no_more_than_it_may(self):
        broker = self.broker(ingest_bytes_per_s=RATE)
        with broker.client(timeout=30) as client:
            topic = client.create("limited")["id"]
            self.assert_held(broker, *send_for(client, topic, 3))

    def test_the_others_are_not_touched(self):
        broker = self.broker(ingest_bytes_per_s=RATE)
        with broker.client(timeout=30) as greedy, broker.client(timeout=30) as modest:
            topic = greedy.create("limited")["id"]
            thread = threading.Thread(target=send_for, args=(greedy, topic, 3))
            thread.start()
            before = broker.metrics().value("lance_quota_held_total")
            for _ in range(20):
                modest.ingest(b"x" * 1000, topic)
            thread.join()
            self.assertGreaterEqual(broker.metrics().value("lance_quota_held_total"), before)
            self.assertEqual(broker.metrics().value("lance_quota_refused_total"), 0)

    def test_all_producers_of_a_topic_share_its_rate(self):
        broker = self.broker(topic_ingest_bytes_per_s=RATE)
        clients = [broker.client(timeout=30) for _ in range(4)]
        topic = clients[0].create("limited")["id"]
        free = clients[0].create("other")["id"]
        results = []
        threads = [threading.Thread(target=lambda c=c: results.append(send_for(c, topic, 3)))
                   for c in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assert_held(broker, sum(sent for sent, _ in results), max(s for _, s in results))
        held = broker.metrics().value("lance_quota_held_total")
        clients[0].ingest(b"x", free)
        self.assertEqual(broker.metrics().value("lance_quota_held_total"), held)
        for client in clients:
            client.close()

    def read_for(self, client, topic, seconds):
        begin, got, at = time.monotonic(), 0, 0
        while time.monotonic() - begin < seconds:
            data = client.fetch(topic, at, FRAME)[-1]
            got += len(data)
            at = (at + len(data)) % (64 * FRAME)
        return got, time.monotonic() - begin

    def check_reading(self, **keys):
        broker = self.broker(**keys)
        with broker.client(timeout=30) as client:
            topic = client.create("limited")["id"]
            for _ in range(64):
                client.ingest(os.urandom(FRAME), topic)
            self.assert_held(broker, *self.read_for(client, topic, 3))

    def test_a_connection_fetches_no_more_than_it_may(self):
        self.check_reading(fetch_bytes_per_s=RATE)

    def test_all_readers_of_a_topic_share_its_rate(self):
        self.check_reading(topic_fetch_bytes_per_s=RATE)

    def test_who_would_wait_too_long_is_told_when_to_come_again(self):
        broker = self.broker(ingest_bytes_per_s=64 << 10)
        with broker.client(timeout=30) as client:
            topic = client.create("limited")["id"]
            client.ingest(os.urandom(1 << 20), topic)  # passes, and is owed for 15 seconds
            with self.assertRaises(lwp.Refused) as refused:
                client.ingest(b"x", topic)
            self.assertRegex(str(refused.exception), r"^THROTTLED: over quota; retry after \d+ ms$")
            wait = int(str(refused.exception).split()[-2])
            self.assertTrue(10_000 < wait < 16_000, wait)
            client.keepalive()  # the connection stays
        self.assertEqual(broker.metrics().value("lance_quota_refused_total"), 1)

    def test_our_client_waits_and_loses_nothing(self):
        broker = self.broker(ingest_bytes_per_s=256 << 10)
        lines = [os.urandom(48 << 10).hex() for _ in range(40)]  # 3.75 MiB: 14 seconds
        data = "\n".join(lines) + "\n"
        done = broker.lnc("produce", "--topic", "t", "--create", stdin=data.encode(), timeout=120)
        self.assertEqual(done.code, 0, done)
        read = broker.lnc("consume", "--topic", "t", timeout=60)
        self.assertEqual(read.text.splitlines(), lines)
        self.assertGreater(broker.metrics().value("lance_quota_held_total") +
                           broker.metrics().value("lance_quota_refused_total"), 0)


class Connections(harness.Test):
    def test_an_identity_has_so_many_at_a_time(self):
        root = harness.temp_dir()
        access = Access(root)
        tokens = {name: access.token(name) for name in ("one", "two")}
        broker = harness.Broker(
            config=access.config(with_rules=False, extra="[quota]\nconnections = 2\n"), root=root)
        self.addCleanup(broker.kill)
        broker.start()
        clients = [broker.client() for _ in range(4)]
        self.assertTrue(authenticate(clients[0], tokens["one"])[0])
        self.assertTrue(authenticate(clients[1], tokens["one"])[0])
        self.assertTrue(authenticate(clients[1], tokens["one"])[0], "it is counted once")
        accepted, why = authenticate(clients[2], tokens["one"])
        self.assertFalse(accepted)
        self.assertIn("THROTTLED", why)
        self.assertTrue(authenticate(clients[3], tokens["two"])[0])
        self.assertEqual(broker.metrics().value("lance_quota_connections_refused_total"), 1)
        self.assertIn("too_many_connections", broker.log())
        clients[0].close()
        self.assertTrue(harness.wait_until(lambda: authenticate(clients[2], tokens["one"])[0], 5, 0.5),
                        "a place became free")
        for client in clients:
            client.close()

    def test_whoever_is_known_has_one_rate_over_all_his_connections(self):
        root = harness.temp_dir()
        access = Access(root)
        token = access.token("one")
        broker = harness.Broker(config=access.config(
            with_rules=False, extra=f"[quota]\ningest_bytes_per_s = {64 << 10}\n"), root=root)
        self.addCleanup(broker.kill)
        broker.start()
        with broker.client() as first, broker.client() as second:
            for client in (first, second):
                self.assertTrue(authenticate(client, token)[0])
            first.ingest(os.urandom(1 << 20), 0)
            with self.assertRaises(lwp.Refused):
                second.ingest(b"x", 0)


class Live(harness.Test):
    """Settings that change while the node runs."""

    def change(self, token=None, **settings):
        body = json.dumps({key.replace("__", "."): value for key, value in settings.items()})
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        status, _, text = self.broker.http("/admin/config", "POST", body=body, headers=headers)
        return status, json.loads(text)

    def start(self, config, root=None):
        self.broker = harness.Broker(config=config, root=root or harness.temp_dir())
        self.addCleanup(self.broker.kill)
        self.broker.start()

    def test_a_quota_comes_and_goes(self):
        self.start(CONFIG)
        with self.broker.client(timeout=30) as client:
            client.ingest(os.urandom(1 << 20), 0)
            client.ingest(b"x", 0)
            status, told = self.change(quota__ingest_bytes_per_s="64KiB")
            self.assertEqual((status, told["status"]), (200, "changed"))
            self.assertIn("ingest_bytes_per_s = 65536", told["config"])
            self.assertIn("the admin API", told["config"])
            client.ingest(os.urandom(1 << 20), 0)
            with self.assertRaises(lwp.Refused):
                client.ingest(b"x", 0)
            self.assertEqual(self.change(quota__ingest_bytes_per_s=0)[0], 200)
            client.ingest(os.urandom(1 << 20), 0)
            client.ingest(b"x", 0)
        self.assertIn("setting_changed", self.broker.log())

    def test_a_quota_that_is_lifted_lets_those_go_who_wait(self):
        self.start(quota(ingest_bytes_per_s=256 << 10))
        with self.broker.client(timeout=30) as client:
            client.ingest(os.urandom(2 << 20), 0)  # owed for seven seconds
            done = []
            waiting = threading.Thread(target=lambda: done.append(client.ingest(b"x", 0)))
            waiting.start()
            self.broker.wait_metric("lance_quota_held_total", 1)
            self.assertEqual(self.change(quota__ingest_bytes_per_s=0)[0], 200)
            lifted = time.monotonic()
            waiting.join()
            self.assertLess(time.monotonic() - lifted, 4)
            self.assertEqual(self.broker.metrics().value("lance_quota_held_total"), 1)

    def test_the_level_of_the_log(self):
        self.start(CONFIG)
        self.assertEqual(self.change(log__level="error")[0], 200)
        self.broker.process.send_signal(1)  # SIGHUP goes by the file again
        self.assertTrue(harness.wait_until(lambda: "reloaded" in self.broker.log(), 5))
        self.assertEqual(self.change(log__level="error")[0], 200)
        before = self.broker.log().count("over_quota")
        self.change(quota__ingest_bytes_per_s="64KiB")
        with self.broker.client(timeout=30) as client:
            client.ingest(os.urandom(1 << 20), 0)
            with self.assertRaises(lwp.Refused):
                client.ingest(b"x", 0)
        self.assertEqual(self.broker.log().count("over_quota"), before)

    def test_nonsense_changes_nothing(self):
        self.start(CONFIG)
        for settings, words in (({"quota__nothing": 1}, "is not a key"),
                                ({"node__id": 2}, "takes effect at a start only"),
                                ({"log__level": "loud"}, "log.level takes"),
                                ({"quota__connections": -1}, "quota.connections takes")):
            status, told = self.change(**settings)
            self.assertEqual(status, 400, told)
            self.assertIn(words, told["reason"])

    def test_who_may(self):
        root = harness.temp_dir()
        access = Access(root)
        tokens = {name: access.token(name) for name in ("admin", "some", "reader")}
        access.allow("token:admin", "all", "*")
        access.allow("token:some", "all", "orders-*")
        access.allow("token:reader", "consume", "*")
        self.start(access.config(), root)
        for token, expected in ((None, 401), ("wrong", 401), (tokens["some"], 403),
                                (tokens["reader"], 403), (tokens["admin"], 200)):
            self.assertEqual(self.change(token, quota__connections=9)[0], expected, token)
        for token, expected in ((None, 401), ("wrong", 401), (tokens["reader"], 200)):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            self.assertEqual(self.broker.http("/admin/config", headers=headers)[0], expected)
        self.assertIn("token:admin", self.broker.log())


if __name__ == "__main__":
    harness.main()
