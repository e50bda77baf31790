"""Who may do what: tokens, certificates, rules. Every opcode is asked by every kind of caller."""

import os
import struct
import time

import certificates
import harness
import lwp

AUTHENTICATE, AUTHENTICATE_RESPONSE = 0x08, 0x09
HELLO, CREATE_X, DESCRIBE, SET_TOPIC, LOOKUP, FETCH_BATCHES = 0x30, 0x31, 0x32, 0x33, 0x34, 0x36
REGISTER_PRODUCER = 0x38


class Access:
    """A broker's token and rule files, kept by the tool as an operator would."""

    def __init__(self, root):
        self.tokens, self.rules = os.path.join(root, "tokens"), os.path.join(root, "rules")

    def lnc(self, *words):
        told = harness.lnc(*words)
        if told.code != 0:
            raise AssertionError(repr(told))
        return told.text.strip()

    def token(self, name, *more):
        return self.lnc("token", "create", name, "--file", self.tokens, *more).splitlines()[0]

    def allow(self, identity, rights, *topics):
        self.lnc("acl", "allow", "--file", self.rules, identity, rights, *topics)

    def config(self, with_rules=True, extra=""):
        return (harness.SMALL_SEGMENTS + f'[auth]\nenabled = true\ntoken_file = "{self.tokens}"\n' +
                (f'acl = "{self.rules}"\n' if with_rules else "") + extra)


def authenticate(client, token):
    """(accepted, message)"""
    token = token.encode() if isinstance(token, str) else token
    reply = client.exchange(lwp.control(AUTHENTICATE, token))
    if reply.code != AUTHENTICATE_RESPONSE:
        raise AssertionError(repr(reply))
    return reply.payload[0] == 1, reply.payload[1:].decode()


class Auth(harness.Test):
    WITH_RULES = True
    EXTRA = ""

    def setUp(self):
        self.root = harness.temp_dir()
        self.access = Access(self.root)
        self.root_token = self.access.token("root")
        self.access.allow("token:root", "all", "*")
        self.prepare()
        self.broker = harness.Broker(config=self.access.config(self.WITH_RULES, self.EXTRA),
                                     root=self.root)
        self.addCleanup(self.broker.kill)
        self.broker.start()

    def prepare(self):
        pass

    def client(self, token=None):
        client = self.broker.client()
        self.addCleanup(client.close)
        if token is not None:
            self.assertEqual(authenticate(client, token), (True, "Authenticated"))
        return client

    def failures(self, reason):
        return self.broker.metrics().value("lance_auth_failures_total", reason=reason)


class Matrix(Auth):
    """{opcode} x {no token, wrong token, expired token, the right token without the right, with it}:
    every cell is filled."""

    def prepare(self):
        self.expired = self.access.token("late", "--expires", "1s")
        self.made = time.monotonic()
        self.tokens = {}
        for name, rights in (("producer", "produce"), ("consumer", "consume"), ("keeper", "admin"),
                             ("nobody", None)):
            self.tokens[name] = self.access.token(name)
            if rights:
                self.access.allow(f"token:{name}", rights, "orders", "new-*")

    def requests(self, topic):
        """opcode -> (frame, who may)"""
        consumer, u32 = 77, struct.pack("<I", topic)
        everybody = {"producer", "consumer", "keeper", "nobody"}
        some = {"producer", "consumer", "keeper"}
        named = lambda text: lwp.control(*text)
        return {
            "ingest": (lwp.ingest_frame(1, b"x", topic), {"producer"}),
            "CreateTopic": (lwp.control(lwp.CREATE_TOPIC, b"new-a"), {"keeper"}),
            "ListTopics": (lwp.control(lwp.LIST_TOPICS), everybody),
            "GetTopic": (lwp.control(lwp.GET_TOPIC, u32), some),
            "SetRetention": (lwp.control(lwp.SET_RETENTION, lwp.retention_payload(topic, 0, 0)),
                             {"keeper"}),
            "CreateTopicWithRetention": (
                lwp.control(lwp.CREATE_WITH_RETENTION,
                            lwp.create_with_retention_payload("new-b", 0, 0)), {"keeper"}),
            "GetClusterStatus": (lwp.control(lwp.CLUSTER_STATUS), everybody),
            "Fetch": (lwp.control(lwp.FETCH, lwp.fetch_payload(topic, 0, 100)), {"consumer"}),
            "Subscribe": (lwp.control(lwp.SUBSCRIBE, lwp.subscribe_payload(topic, 0, consumer)),
                          {"consumer"}),
            "Unsubscribe": (lwp.control(lwp.UNSUBSCRIBE, lwp.unsubscribe_payload(topic, consumer)),
                            {"consumer"}),
            "CommitOffset": (lwp.control(lwp.COMMIT, lwp.commit_payload(topic, consumer, 1)),
                             {"consumer"}),
            "Hello": (named((HELLO, b'{"client":"test"}')), everybody),
            "CreateTopicX": (named((CREATE_X, b'{"name":"new-c"}')), {"keeper"}),
            "DescribeTopic": (named((DESCRIBE, b'{"name":"orders"}')), some),
            "SetTopic": (named((SET_TOPIC, b'{"name":"orders","max_bytes":0}')), {"keeper"}),
            "OffsetLookup": (named((LOOKUP, u32 + bytes(12))), {"consumer"}),
            "FetchBatches": (
                named((FETCH_BATCHES, lwp.fetch_batches_payload(topic, 0, 100))), {"consumer"}),
            "RegisterProducer": (named((REGISTER_PRODUCER, bytes(16))), everybody),
            "DeleteTopic": (lwp.control(lwp.DELETE_TOPIC, u32), {"keeper"}),
        }

    def outcome(self, client, frame):
        """'done', or the code of the refusal; the connection goes on."""
        reply = client.exchange(frame)
        client.keepalive()
        if reply.code != lwp.ERROR:
            return "done"
        return lwp.parse_error(lwp.error_text(reply))[0]

    def test_every_cell(self):
        with self.client(self.root_token) as root:
            topic = root.create("orders")["id"]
            root.ingest(b"first", topic)
        time.sleep(max(0, self.made + 1.5 - time.monotonic()))
        cells, last = 0, "DeleteTopic"
        for opcode, (frame, allowed) in self.requests(topic).items():
            for caller in ("no token", "wrong token", "expired token"):
                with self.subTest(f"{opcode} by {caller}"):
                    client = self.client()
                    if caller == "wrong token":
                        self.assertEqual(authenticate(client, "x" * 43), (False, "Invalid token"))
                    elif caller == "expired token":
                        self.assertEqual(authenticate(client, self.expired),
                                         (False, "Token expired"))
                    self.assertEqual(self.outcome(client, frame), "NOT_AUTHENTICATED")
                    client.close()
                    cells += 1
            for name in ("nobody", "producer", "consumer", "keeper"):
                with self.subTest(f"{opcode} by {name}"):
                    client = self.client(self.tokens[name])
                    expected = "done" if name in allowed else "NOT_AUTHORIZED"
                    self.assertEqual(self.outcome(client, frame), expected)
                    client.close()
                    cells += 1
        self.assertEqual(cells, len(self.requests(topic)) * 7)
        self.assertEqual(opcode, last, "deleting comes last, or the rest has no topic")
        for reason in ("unknown_token", "expired_token", "not_authenticated", "not_authorized"):
            self.assertGreater(self.failures(reason), 0, reason)

    def test_lists_show_only_what_somebody_has_a_right_to(self):
        with self.client(self.root_token) as root:
            for name in ("orders", "secret", "new-x"):
                root.create(name)
            self.assertEqual(len(root.list()), 3)
        seen = [row["name"] for row in self.client(self.tokens["consumer"]).list()]
        self.assertEqual(sorted(seen), ["new-x", "orders"])
        self.assertEqual(self.client(self.tokens["nobody"]).list(), [])

    def test_a_topic_that_is_not_there_is_none_of_ones_business(self):
        client = self.client(self.tokens["consumer"])
        self.assert_refused("NOT_AUTHORIZED", client.fetch, 4000, 0)
        self.assert_refused("NOT_AUTHORIZED", client.ingest, b"x", 4000)
        self.assert_refused("NOT_AUTHORIZED", client.ingest, b"x", 0)

    def test_pipelined_refusals_keep_their_places(self):
        with self.client(self.root_token) as root:
            orders, secret = root.create("orders")["id"], root.create("secret")["id"]
        client = self.client(self.tokens["producer"])
        client.send(b"".join(lwp.ingest_frame(n + 1, b"x" * 10, secret if n % 3 == 0 else orders)
                             for n in range(300)))
        for n in range(300):
            reply = client.receive()
            if n % 3 == 0:
                self.assertEqual(lwp.parse_error(lwp.error_text(reply))[0], "NOT_AUTHORIZED")
            else:
                self.assertEqual((reply.kind, reply.batch_id), ("ack", n + 1))
        with self.client(self.root_token) as root:
            self.assertEqual(root.end(orders), 2000)
            self.assertEqual(root.end(secret), 0)

    def test_administration_and_refusals_are_told(self):
        self.client(self.tokens["keeper"]).create("new-told")
        self.assert_refused("NOT_AUTHORIZED", self.client(self.tokens["nobody"]).create, "new-not")
        log = [line for line in self.broker.log().splitlines() if " audit " in line or
               "event=audit" in line or "audit" in line.split()[:4]]
        self.assertTrue(any("token:keeper" in line and "new-told" in line and "allowed" in line
                            for line in log), self.broker.log_tail())
        self.assertTrue(any("token:nobody" in line and "new-not" in line and "not authorized" in line
                            for line in log), self.broker.log_tail())
        for secret in (self.root_token, *self.tokens.values()):
            self.assertNotIn(secret, self.broker.log())


class Strangers(Auth):
    def test_long_frames_of_strangers_close_the_connection(self):
        client = self.client()
        client.send(lwp.ingest_frame(1, b"x" * 9000, 0))
        self.assertTrue(client.closed_silently())
        client = self.client(self.root_token)
        client.ingest(b"x" * 9000, 0)

    def test_who_does_not_say_who_it_is_in_time_is_put_out(self):
        client, known = self.client(), self.client(self.root_token)
        began = time.monotonic()
        self.assertTrue(client.closed_silently(15))
        self.assertGreater(time.monotonic() - began, 5)
        known.keepalive()
        self.assertGreater(self.failures("too_late"), 0)

    def test_guessing_ends_the_connection(self):
        client = self.client()
        for n in range(10):
            self.assertEqual(authenticate(client, "guess-%d" % n), (False, "Invalid token"))
        self.assertTrue(client.closed_silently())

    def test_tokens_that_are_none(self):
        client = self.client()
        self.assertEqual(authenticate(client, b""), (False, "No token provided"))
        self.assertEqual(authenticate(client, b"\xff\xfe"), (False, "Invalid token encoding"))
        self.assertEqual(authenticate(client, self.root_token), (True, "Authenticated"))
        # A failed try later takes nothing away.
        self.assertEqual(authenticate(client, "wrong"), (False, "Invalid token"))
        client.list()


class Changes(Auth):
    def reloads(self, failed=False):
        return self.broker.metrics().value(
            "lance_auth_reload_failures_total" if failed else "lance_auth_reloads_total")

    def wait_reload(self, before, failed=False):
        self.assertTrue(harness.wait_until(lambda: self.reloads(failed) > before, 5, 0.05))

    def test_tokens_and_rules_change_while_the_broker_runs(self):
        before = self.reloads()
        token = self.access.token("shop")
        self.wait_reload(before)
        client = self.client(token)
        self.assert_refused("NOT_AUTHORIZED", client.create, "orders")
        before = self.reloads()
        self.access.allow("token:shop", "admin,produce", "orders")
        self.wait_reload(before)
        topic = client.create("orders")["id"]  # the same connection
        client.ingest(b"x", topic)
        before = self.reloads()
        self.access.lnc("acl", "remove", "--file", self.access.rules, "token:shop")
        self.wait_reload(before)
        self.assert_refused("NOT_AUTHORIZED", client.ingest, b"x", topic)
        before = self.reloads()
        self.access.lnc("token", "revoke", "--file", self.access.tokens, "shop")
        self.wait_reload(before)
        self.assertEqual(authenticate(self.client(), token), (False, "Invalid token"))
        self.assert_refused("NOT_AUTHENTICATED", client.list)  # the old connection too

    def test_a_token_expires_under_its_connection(self):
        before = self.reloads()
        token = self.access.token("brief", "--expires", "3s")
        self.wait_reload(before)
        client = self.client(token)
        client.list()

        def refused():
            try:
                client.list()
                return False
            except lwp.Refused as caught:
                self.assertEqual(caught.code, "NOT_AUTHENTICATED")
                return True

        self.assertTrue(harness.wait_until(refused, 8, 0.2))

    def test_broken_files_change_nothing(self):
        with open(self.access.rules, "a", encoding="ascii") as file:
            file.write("rubbish\n")
        self.wait_reload(0, failed=True)
        self.client(self.root_token).create("still")
        self.assertIn("access_not_reloaded", self.broker.log())


class WithoutRules(Auth):
    WITH_RULES = False

    def test_whoever_is_known_may_do_everything(self):
        other = self.access.token("other")
        client = harness.wait_until(lambda: self.try_client(other), 5, 0.1)
        topic = client.create("free")["id"]
        client.ingest(b"x", topic)
        self.assert_stream(client, topic, b"x")
        self.assert_refused("NOT_AUTHENTICATED", self.client().list)

    def try_client(self, token):
        client = self.client()
        return client if authenticate(client, token)[0] else None


class WriteOnly(Auth):
    EXTRA = "write_only = true\n"

    def test_strangers_read_and_do_not_write(self):
        with self.client(self.root_token) as root:
            topic = root.create("open")["id"]
            root.ingest(b"for all", topic)
        stranger = self.client()
        self.assert_stream(stranger, topic, b"for all")
        self.assertEqual([row["name"] for row in stranger.list()], ["open"])
        self.assert_refused("NOT_AUTHENTICATED", stranger.ingest, b"x", topic)
        self.assert_refused("NOT_AUTHENTICATED", stranger.create, "mine")
        time.sleep(11.5)
        stranger.list()  # and may stay


class Certificates(harness.Test):
    def test_the_name_in_a_certificate_is_an_identity(self):
        root = harness.temp_dir()
        made = certificates.Certificates(root)
        made.authority("ca")
        made.make("server", "ca")
        made.make("shop", "ca", "URI:spiffe://tests/shop,DNS:shop.example")
        made.make("other", "ca", "DNS:other.example")
        access = Access(root)
        access.allow("cert:spiffe://tests/shop", "admin,produce", "orders")
        config = (harness.SMALL_SEGMENTS + f'[auth]\nenabled = true\nacl = "{access.rules}"\n'
                  f'[tls]\ncert = "{made.path("server.crt")}"\nkey = "{made.path("server.key")}"\n'
                  f'ca = "{made.path("ca.crt")}"\n')
        with harness.Broker(config=config, root=root) as broker:
            server = "localhost:%d" % broker.address()[1]

            def produce(name):
                words = ["--tls-ca", made.path("ca.crt")]
                if name:
                    words += ["--tls-cert", made.path(name + ".crt"), "--tls-key",
                              made.path(name + ".key")]
                return harness.lnc("produce", "--topic", "orders", "--data", "x", *words,
                                   server=server)

            self.assertEqual(produce("shop").code, 0)
            self.assertEqual(produce("other").code, 4)
            self.assertEqual(produce(None).code, 4)


class Tool(Auth):
    def test_the_tool_shows_its_token(self):
        path = os.path.join(self.root, "my-token")
        with open(path, "w", encoding="ascii") as file:
            file.write(self.root_token + "\n")
        words = ("--token-file", path)
        made = self.broker.lnc("produce", "--topic", "tool", *words, stdin=b"one\ntwo\n")
        self.assertEqual(made.code, 0, made)
        read = self.broker.lnc("consume", "--topic", "tool", env={"LANCE_TOKEN_FILE": path})
        self.assertEqual((read.code, read.out), (0, b"one\ntwo\n"), read)
        told = self.broker.lnc("topic", "list")
        self.assertEqual(told.code, 4, told)
        self.assertIn("NOT_AUTHENTICATED", told.errors)
        with open(path, "w", encoding="ascii") as file:
            file.write("wrong\n")
        told = self.broker.lnc("topic", "list", *words)
        self.assertEqual(told.code, 4, told)
        self.assertIn("Invalid token", told.errors)

    def test_token_files(self):
        path = os.path.join(self.root, "more")
        first = harness.lnc("token", "create", "a", "--file", path, "--json")
        self.assertEqual(first.code, 0, first)
        secret = first.json_lines()[0]["token"]
        self.assertEqual(len(secret), 43)
        self.assertIn("only time", first.errors)
        with open(path, encoding="ascii") as file:
            self.assertNotIn(secret, file.read())
        self.assertEqual(harness.lnc("token", "create", "a", "--file", path).code, 1)
        self.assertEqual(harness.lnc("token", "create", "a b", "--file", path).code, 2)
        self.assertEqual(harness.lnc("token", "create", "b", "--file", path, "--expires",
                                     "7d").code, 0)
        rows = harness.lnc("token", "list", "--file", path, "--json").json_lines()
        self.assertEqual([(row["name"], row["expired"]) for row in rows],
                         [("a", False), ("b", False)])
        self.assertEqual(rows[1]["expires"] - rows[1]["created"], 7 * 24 * 3600)
        self.assertEqual(harness.lnc("token", "revoke", "a", "--file", path).code, 0)
        self.assertEqual(harness.lnc("token", "revoke", "a", "--file", path).code, 3)
        self.assertEqual(harness.lnc("token", "list", "--file", path + "-not").code, 3)
        with open(path, "a", encoding="ascii") as file:
            file.write("rubbish\n")
        told = harness.lnc("token", "list", "--file", path)
        self.assertEqual(told.code, 10, told)
        self.assertIn("line 3", told.errors)

    def test_rule_files(self):
        path = os.path.join(self.root, "acl")
        allow = lambda *words: harness.lnc("acl", "allow", "--file", path, *words)
        self.assertEqual(allow("token:a", "produce,consume", "x", "y-*").code, 0)
        self.assertEqual(allow("*", "consume", "public").code, 0)
        for words in (("a", "produce", "x"), ("token:a", "fly", "x"), ("token:a", "produce", "x/y")):
            self.assertEqual(allow(*words).code, 2, words)
        rows = harness.lnc("acl", "list", "--file", path, "--json").json_lines()
        self.assertEqual(rows[0], {"identity": "token:a", "rights": ["produce", "consume"],
                                   "topics": ["x", "y-*"]})
        check = lambda *words: harness.lnc("acl", "check", "--file", path, *words)
        self.assertEqual(check("token:a", "produce", "y-1").code, 0)
        self.assertEqual(check("token:a", "admin", "y-1").code, 4)
        self.assertEqual(check("token:b", "consume", "public").code, 0)
        self.assertEqual(harness.lnc("acl", "remove", "--file", path, "token:a").code, 0)
        self.assertEqual(harness.lnc("acl", "remove", "--file", path, "token:a").code, 3)
        self.assertEqual(check("token:a", "produce", "y-1").code, 4)


class FailClosed(harness.Test):
    def test_broken_settings(self):
        root = harness.temp_dir()
        access = Access(root)
        access.token("a")
        access.allow("token:a", "all", "*")
        empty, rubbish = os.path.join(root, "empty"), os.path.join(root, "rubbish")
        with open(empty, "w", encoding="ascii") as file:
            file.write("# lance tokens 1\n")
        with open(rubbish, "w", encoding="ascii") as file:
            file.write("rubbish here\n")
        newer = os.path.join(root, "newer")
        with open(newer, "w", encoding="ascii") as file:
            file.write("# lance tokens 2\n# lance access 2\n")
        tokens = f'token_file = "{access.tokens}"\n'
        cases = {
            "nothing to come in with": ("enabled = true\n", "auth.token_file"),
            "no token": (f'enabled = true\ntoken_file = "{empty}"\n', "no token"),
            "no such file": ('enabled = true\ntoken_file = "/no/such"\n', "/no/such"),
            "a directory": (f'enabled = true\ntoken_file = "{root}"\n', "auth.token_file"),
            "rubbish": (f'enabled = true\ntoken_file = "{rubbish}"\n', "line 1"),
            "newer": (f'enabled = true\ntoken_file = "{newer}"\n', "newer"),
            "no such rules": ("enabled = true\n" + tokens + 'acl = "/no/such"\n', "auth.acl"),
            "rules are rubbish": ("enabled = true\n" + tokens + f'acl = "{rubbish}"\n', "line 1"),
            "newer rules": ("enabled = true\n" + tokens + f'acl = "{newer}"\n', "newer"),
            "tokens without enabled": (tokens, "auth.enabled"),
            "rules without enabled": (f'acl = "{access.rules}"\n', "auth.enabled"),
            "write_only without enabled": ("write_only = true\n", "auth.enabled"),
        }
        for name, (text, says) in cases.items():
            with self.subTest(name):
                broker = harness.Broker(config="[auth]\n" + text)
                with self.assertRaises(harness.StartFailed) as caught:
                    broker.start(seconds=15)
                self.assertEqual(caught.exception.code, 2, caught.exception.log)
                self.assertIn(says, caught.exception.log.split("\n", 1)[1])
                checked = harness.run(harness.program("lance"), "--check", "--config",
                                      broker.config_path)
                self.assertEqual(checked.code, 2, checked)
                self.assertIn(says, checked.errors)

    def test_a_token_shown_to_a_server_that_does_not_ask_is_refused(self):
        with harness.Broker() as broker:
            with broker.client() as client:
                good, message = authenticate(client, "x" * 43)
                self.assertFalse(good)
                self.assertIn("switched off", message)
                client.list()  # and all goes on


if __name__ == "__main__":
    harness.main()
