"""TLS on the client port: what must work, and everything that must be refused, by peers of other
makes (Python's ssl, openssl's command line) and by our own tool."""

import os
import random
import socket
import ssl
import subprocess
import threading
import time

import certificates
import harness
import lwp

PLAIN_HELLO = lwp.encode(lwp.KEEPALIVE)


def config(made, extra="", name="server"):
    return (harness.SMALL_SEGMENTS + f'[tls]\ncert = "{made.path(name + ".crt")}"\n'
            f'key = "{made.path(name + ".key")}"\n' + extra)


class SecureClient(lwp.Client):
    """The blocking client over an encrypted stream."""

    def __init__(self, address, context, host="localhost", timeout=10.0):
        super().__init__(address, timeout=timeout)
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=host)
        except BaseException:
            self.sock.close()
            raise


def trusting(made, authority="ca", **more):
    context = ssl.create_default_context(cafile=made.path(authority + ".crt"))
    for name, value in more.items():
        setattr(context, name, value)
    return context


class Tls(harness.Test):
    """One broker with TLS for all tests of a class."""

    EXTRA = ""

    @classmethod
    def setUpClass(cls):
        cls.root = harness.temp_dir()
        cls.made = certificates.Certificates(cls.root)
        cls.made.authority("ca")
        cls.made.authority("other-ca")
        cls.made.make("server", "ca")
        cls.broker = harness.Broker(config=cls.configuration(), root=cls.root).start()

    @classmethod
    def configuration(cls):
        return config(cls.made, cls.EXTRA)

    @classmethod
    def tearDownClass(cls):
        code = cls.broker.stop()
        if code != 0:
            raise AssertionError(f"SIGTERM ended with {code}:\n{cls.broker.log_tail()}")

    def secure(self, context=None, **options):
        client = SecureClient(self.broker.address(), context or trusting(self.made), **options)
        self.addCleanup(client.close)
        return client

    def failures(self, reason):
        return self.broker.metrics().value("lance_tls_failures_total", reason=reason)

    def assert_counted(self, reason, deed):
        """The deed is refused by the broker in bounded time, and counted under its reason."""
        before = self.failures(reason)
        began = time.monotonic()
        deed()
        self.assertLess(time.monotonic() - began, 5)
        self.assertTrue(harness.wait_until(lambda: self.failures(reason) > before, 5, 0.05),
                        f"not counted as {reason}: {self.broker.metrics().text}")
        self.secure().keepalive()  # unharmed

    def until_closed(self, sock, seconds=5.0):
        """Reads to the end of a plain socket; everything that came."""
        sock.settimeout(seconds)
        got = b""
        try:
            while chunk := sock.recv(65536):
                got += chunk
        except ConnectionError:
            pass
        return got

    def lnc(self, *words, **options):
        host, port = self.broker.address()
        return harness.lnc(*words, server=f"localhost:{port}", **options)


class Works(Tls):
    def test_every_request_crosses_whatever_its_size(self):
        client = self.secure()
        topic = client.create("sizes")["id"]
        stream = b""
        for size in (1, 16_000, 16_384, 16_385, 70_000, 1_000_000, 8_000_000):
            payload = random.Random(size).randbytes(size)
            client.ingest(payload, topic, timeout=30)
            stream += payload
        self.assert_stream(client, topic, stream)
        client.keepalive()

    def test_both_versions_are_spoken_and_older_ones_are_not(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting(self.made, minimum_version=version, maximum_version=version)
            self.secure(context).keepalive()

    def test_pipelining_over_many_connections(self):
        topic = self.secure().create("many")["id"]
        failures = []

        def produce(number):
            try:
                with SecureClient(self.broker.address(), trusting(self.made), timeout=60) as client:
                    payload = bytes([number]) * 3000
                    for first in range(0, 400, 50):
                        client.send(b"".join(lwp.ingest_frame(first + n + 1, payload, topic)
                                             for n in range(50)))
                        for n in range(50):
                            reply = client.receive()
                            if (reply.kind, reply.batch_id) != ("ack", first + n + 1):
                                raise AssertionError(repr(reply))
            except Exception as failure:
                failures.append(failure)

        threads = [threading.Thread(target=produce, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.secure().end(topic), 8 * 400 * 3000)

    def test_sessions_are_resumed(self):
        context = trusting(self.made)
        with SecureClient(self.broker.address(), context) as first:
            first.keepalive()  # the ticket comes behind the handshake
            session = first.sock.session
        before = self.broker.metrics().value("lance_tls_resumptions_total")
        raw = socket.create_connection(self.broker.address(), timeout=10)
        with context.wrap_socket(raw, server_hostname="localhost", session=session) as again:
            self.assertTrue(again.session_reused)
            again.sendall(PLAIN_HELLO)
            self.assertEqual(len(again.recv(100)), lwp.HEADER_BYTES)
        self.assertTrue(self.broker.wait_metric("lance_tls_resumptions_total", before + 1))

    def test_a_good_bye_is_answered(self):
        for _ in range(20):
            client = self.secure()
            client.keepalive()
            client.sock.settimeout(10)
            client.sock.unwrap().close()  # raises when the stream just ends

    def test_the_tool_goes_in_and_out(self):
        lines = b"".join(b"secret %d\n" % n for n in range(2000))
        ca = self.made.path("ca.crt")
        made = self.lnc("produce", "--topic", "tool", "--tls-ca", ca, stdin=lines)
        self.assertEqual(made.code, 0, made)
        read = self.lnc("consume", "--topic", "tool", "--offset", "earliest",
                        env={"LANCE_TLS_CA": ca})
        self.assertEqual((read.code, read.out), (0, lines), read.errors)
        named = harness.lnc("topic", "list", "--tls-ca", ca, "--tls-server-name", "localhost",
                            server="127.0.0.1:%d" % self.broker.address()[1])
        self.assertEqual(named.code, 0, named)

    def test_the_tool_believes_nobody_else(self):
        for words, reason in (
                (("--tls-ca", self.made.path("other-ca.crt")), "unknown_issuer"),
                (("--tls-ca", self.made.path("ca.crt"), "--tls-server-name", "example.org"),
                 "wrong_host"),
                (("--tls",), "unknown_issuer")):
            told = self.lnc("topic", "list", *words, "--timeout", "5s")
            self.assertEqual(told.code, 4, told)
            self.assertIn(reason, told.errors)
        plain = self.lnc("topic", "list", "--timeout", "3s")
        self.assertEqual(plain.code, 5, plain)
        missing = self.lnc("topic", "list", "--tls-ca", "/no/such/file")
        self.assertEqual(missing.code, 1, missing)
        self.assertIn("/no/such/file", missing.errors)

    def test_openssl_s_client_is_a_peer(self):
        host, port = self.broker.address()
        for version in ("-tls1_2", "-tls1_3"):
            done = subprocess.run(
                ["openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile",
                 self.made.path("ca.crt"), "-verify_return_error", "-servername", "localhost",
                 "-quiet", "-no_ign_eof", version],
                input=PLAIN_HELLO, capture_output=True, timeout=20, check=False)
            self.assertIn(b"verify return:1", done.stderr, done.stderr)
            if done.stdout:  # with -no_ign_eof it may leave before the answer
                self.assertEqual(done.stdout[:4], b"LANC")

    def test_metrics_and_the_days_that_are_left(self):
        self.secure().keepalive()
        metrics = self.broker.metrics()
        left = metrics.value("lance_tls_certificate_expiry_seconds")
        self.assertGreater(left, 29 * 24 * 3600)
        self.assertLess(left, 31 * 24 * 3600)
        self.assertGreater(metrics.value("lance_tls_handshakes_total"), 0)
        self.assertGreater(metrics.value("lance_tls_handshake_seconds_count"), 0)


class Refused(Tls):
    EXTRA = 'min_version = "1.2"\n'

    def test_tls_1_1(self):
        context = trusting(self.made)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1

        def deed():
            with self.assertRaises(ssl.SSLError):
                self.secure(context)

        self.assert_counted("version", deed)

    def test_a_client_that_does_not_believe_us(self):
        def deed():
            with self.assertRaises(ssl.SSLCertVerificationError):
                self.secure(trusting(self.made, "other-ca"))

        self.assert_counted("refused", deed)

    def test_plaintext(self):
        def deed():
            with socket.create_connection(self.broker.address(), timeout=5) as sock:
                sock.sendall(PLAIN_HELLO[:1])
                self.assertEqual(self.until_closed(sock), b"")

        self.assert_counted("plaintext", deed)
        with self.assertRaises((lwp.Closed, ConnectionError)):
            self.broker.client().keepalive()

    def test_a_truncated_greeting(self):
        def deed():
            with socket.create_connection(self.broker.address(), timeout=5) as sock:
                sock.sendall(bytes.fromhex("160301020001000001fc0303"))
                sock.shutdown(socket.SHUT_WR)
                self.until_closed(sock)

        self.assert_counted("truncated", deed)

    def test_an_oversize_record(self):
        def deed():
            with socket.create_connection(self.broker.address(), timeout=5) as sock:
                sock.sendall(bytes.fromhex("160301ffff") + b"\0" * 100)
                self.assertNotEqual(self.until_closed(sock)[:1], b"L")

        self.assert_counted("bad_record", deed)

    def test_rubbish_after_the_handshake(self):
        def deed():
            client = self.secure()
            client.keepalive()
            raw = socket.socket(fileno=os.dup(client.sock.fileno()))
            with raw:
                raw.sendall(b"\x17\x03\x03\x00\x40" + b"\xaa" * 64)
                self.until_closed(raw)

        self.assert_counted("bad_record", deed)

    def test_renegotiation(self):
        host, port = self.broker.address()

        def deed():
            with subprocess.Popen(
                    ["openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile",
                     self.made.path("ca.crt"), "-tls1_2"],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL) as peer:
                time.sleep(0.5)
                peer.stdin.write(b"R\n")
                peer.stdin.flush()
                self.assertIsNotNone(peer.wait(4))

        self.assert_counted("renegotiation", deed)

    def test_no_common_cipher(self):
        context = trusting(self.made, maximum_version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers("AES128-SHA:@SECLEVEL=0")

        def deed():
            with self.assertRaises(ssl.SSLError):
                self.secure(context)

        self.assert_counted("cipher", deed)

    def test_who_never_finishes_the_handshake_is_put_out(self):
        before = self.failures("timed_out")
        with socket.create_connection(self.broker.address(), timeout=20) as sock:
            sock.sendall(bytes.fromhex("1603010200010000"))
            began = time.monotonic()
            self.until_closed(sock, 20)
            self.assertLess(time.monotonic() - began, 15)
        self.assertTrue(harness.wait_until(lambda: self.failures("timed_out") > before, 3, 0.1))

    def test_half_a_handshake_costs_little(self):
        before, socks = self.broker.rss(), []
        for _ in range(500):
            sock = socket.create_connection(self.broker.address(), timeout=5)
            sock.sendall(bytes.fromhex("160301020001000001fc0303"))
            socks.append(sock)
        self.secure().keepalive()
        grown = (self.broker.rss() - before) / len(socks)
        for sock in socks:
            sock.close()
        print(f"half a handshake: {grown / 1024:.1f} KiB each")
        self.assertLess(grown, 64 * 1024)


class Mutual(Tls):
    @classmethod
    def configuration(cls):
        for name, issuer in (("client", "ca"), ("stranger", "other-ca"), ("alone", None)):
            cls.made.make(name, issuer, "DNS:client.example,URI:spiffe://tests/client")
        cls.made.make("late", "ca", begin="20200101000000Z", end="20210101000000Z")
        cls.made.make("early", "ca", begin="20380101000000Z")
        return config(cls.made, f'ca = "{cls.made.path("ca.crt")}"\nrequire_client_cert = true\n')

    def secure(self, context=None, **options):
        return super().secure(context or self.with_certificate("client"), **options)

    def with_certificate(self, name):
        context = trusting(self.made)
        context.load_cert_chain(self.made.path(name + ".crt"), self.made.path(name + ".key"))
        return context

    def test_the_right_certificate_goes_in(self):
        self.secure().keepalive()
        words = ("--tls-ca", self.made.path("ca.crt"), "--tls-cert", self.made.path("client.crt"),
                 "--tls-key", self.made.path("client.key"))
        told = self.lnc("topic", "list", *words)
        self.assertEqual(told.code, 0, told)

    def test_every_other_one_is_refused(self):
        for name, reason in (("stranger", "unknown_issuer"), ("alone", "self_signed"),
                             ("late", "expired"), ("early", "not_yet_valid"),
                             (None, "no_certificate")):
            with self.subTest(name):
                context = self.with_certificate(name) if name else trusting(self.made)

                def deed():
                    with self.assertRaises((ssl.SSLError, lwp.Closed, ConnectionError)):
                        super(Mutual, self).secure(context).keepalive()

                self.assert_counted(reason, deed)
        told = self.lnc("topic", "list", "--tls-ca", self.made.path("ca.crt"), "--timeout", "5s")
        self.assertEqual(told.code, 4, told)


class PlainPort(harness.SharedBroker):
    """TLS where none is spoken."""

    def test_a_greeting_is_closed_at_once_and_counted(self):
        before = self.broker.metrics().value("lance_errors_total", type="protocol")
        began = time.monotonic()
        with socket.create_connection(self.broker.address(), timeout=5) as sock:
            with self.assertRaises((ssl.SSLError, ConnectionError, OSError)):
                ssl.create_default_context().wrap_socket(sock, server_hostname="localhost")
        self.assertLess(time.monotonic() - began, 5)
        self.assertTrue(harness.wait_until(lambda: self.broker.metrics().value(
            "lance_errors_total", type="protocol") > before, 5, 0.1))
        self.client.keepalive()

    def test_the_tool_says_so_in_time(self):
        told = self.broker.lnc("topic", "list", "--tls", "--timeout", "5s")
        self.assertEqual(told.code, 5, told)
        self.assertIn("does it speak TLS on this port?", told.errors)
        self.client.keepalive()

    def test_openssl_s_client_is_turned_away(self):
        done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % self.broker.address()],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.client.keepalive()


class Rotation(harness.Test):
    ROTATIONS = int(os.environ.get("LANCE_ROTATIONS", "20"))

    def setUp(self):
        self.root = harness.temp_dir()
        self.made = certificates.Certificates(self.root)
        self.made.authority("ca")
        self.made.make("server", "ca")
        self.broker = harness.Broker(config=config(self.made), root=self.root)
        self.addCleanup(self.broker.kill)
        self.broker.start()

    def reloads(self, failed=False):
        return self.broker.metrics().value(
            "lance_tls_reload_failures_total" if failed else "lance_tls_reloads_total")

    def test_rotations_under_load_fail_no_request(self):
        address, failures, done, stop = self.broker.address(), [], [0], threading.Event()
        context = trusting(self.made)
        with SecureClient(address, context) as client:
            topic = client.create("load")["id"]

        def produce(reconnect):
            try:
                client = SecureClient(address, context, timeout=30)
                while not stop.is_set():
                    client.ingest(b"x" * 1000, topic)
                    done[0] += 1
                    if reconnect:
                        client.close()
                        client = SecureClient(address, context, timeout=30)
                client.close()
            except Exception as failure:
                failures.append(failure)

        threads = [threading.Thread(target=produce, args=(n % 2 == 0,)) for n in range(4)]
        for thread in threads:
            thread.start()
        seen = set()
        for number in range(self.ROTATIONS):
            self.made.make(f"next-{number}", "ca", into="server")
            before = self.reloads()
            self.broker.process.send_signal(1)  # SIGHUP
            self.assertTrue(harness.wait_until(lambda: self.reloads() > before, 5, 0.01))
            with SecureClient(address, context) as client:
                seen.add(client.sock.getpeercert()["serialNumber"])
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(len(seen), self.ROTATIONS, "each rotation was seen by a new connection")
        print(f"{self.ROTATIONS} rotations, {done[0]} requests, none failed")

    def test_a_change_is_noticed_without_a_signal_and_a_broken_one_changes_nothing(self):
        context = trusting(self.made)

        def serial():
            with SecureClient(self.broker.address(), context) as client:
                client.keepalive()
                return client.sock.getpeercert()["serialNumber"]

        first = serial()
        with open(self.made.path("server.crt"), encoding="ascii") as file:
            good = file.read()
        with open(self.made.path("server.crt"), "w", encoding="ascii") as file:
            file.write(good[:100])
        self.assertTrue(harness.wait_until(lambda: self.reloads(failed=True) > 0, 5, 0.1))
        self.assertEqual(serial(), first)
        self.assertIn("certificates_not_reloaded", self.broker.log())
        self.made.make("renewed", "ca", into="server")
        self.assertTrue(harness.wait_until(lambda: serial() != first, 5, 0.1))
        self.assertIn("certificates_reloaded", self.broker.log())


class FailClosed(harness.Test):
    """What cannot be set up refuses to start, with the key and a remedy; so does --check."""

    def test_broken_settings(self):
        root = harness.temp_dir()
        made = certificates.Certificates(root)
        made.authority("ca")
        made.make("server", "ca")
        made.make("second", "ca")
        made.make("late", "ca", begin="20200101000000Z", end="20210101000000Z")
        made.make("early", "ca", begin="20380101000000Z")
        with open(made.path("rubbish.pem"), "wb") as file:
            file.write(os.urandom(500))
        subprocess.run(["openssl", "ec", "-aes128", "-passout", "pass:secret", "-in",
                        made.path("server.key"), "-out", made.path("locked.key")], check=True,
                       capture_output=True)
        cert, key = made.path("server.crt"), made.path("server.key")
        cases = {
            "no key": (f'cert = "{cert}"', "tls.key"),
            "no certificate": (f'key = "{key}"', "tls.cert"),
            "only authorities": (f'ca = "{made.path("ca.crt")}"', "tls.cert"),
            "certificate missing": (f'cert = "/no/such"\nkey = "{key}"', "/no/such"),
            "certificate is rubbish": (f'cert = "{made.path("rubbish.pem")}"\nkey = "{key}"',
                                       "tls.cert"),
            "certificate is a directory": (f'cert = "{root}"\nkey = "{key}"', "tls.cert"),
            "key missing": (f'cert = "{cert}"\nkey = "/no/such"', "/no/such"),
            "key is rubbish": (f'cert = "{cert}"\nkey = "{made.path("rubbish.pem")}"', "tls.key"),
            "key with a pass phrase": (f'cert = "{cert}"\nkey = "{made.path("locked.key")}"',
                                       "pass phrase"),
            "key of another": (f'cert = "{cert}"\nkey = "{made.path("second.key")}"', "tls.key"),
            "expired": (f'cert = "{made.path("late.crt")}"\nkey = "{made.path("late.key")}"',
                        "expired"),
            "not yet valid": (f'cert = "{made.path("early.crt")}"\nkey = "{made.path("early.key")}"',
                              "not valid yet"),
            "authorities missing": (f'cert = "{cert}"\nkey = "{key}"\nca = "/no/such"', "tls.ca"),
            "authorities are rubbish": (f'cert = "{cert}"\nkey = "{key}"\n'
                                        f'ca = "{made.path("rubbish.pem")}"', "tls.ca"),
            "client certificates without authorities": (
                f'cert = "{cert}"\nkey = "{key}"\nrequire_client_cert = true', "tls.ca"),
            "unknown version": (f'cert = "{cert}"\nkey = "{key}"\nmin_version = "1.1"',
                                "min_version"),
            "unknown suites": (f'cert = "{cert}"\nkey = "{key}"\nciphers = "NONE-SUCH"',
                               "tls.ciphers"),
            "unknown suites of 1.3": (f'cert = "{cert}"\nkey = "{key}"\nciphersuites = "NONE"',
                                      "tls.ciphersuites"),
        }
        for name, (text, says) in cases.items():
            with self.subTest(name):
                broker = harness.Broker(config="[tls]\n" + text + "\n")
                with self.assertRaises(harness.StartFailed) as caught:
                    broker.start(seconds=15)
                self.assertEqual(caught.exception.code, 2, caught.exception.log)
                self.assertIn(says, caught.exception.log.split("\n", 1)[1])
                self.assertFalse(os.path.exists(broker.ready_path))
                checked = harness.run(harness.program("lance"), "--check", "--config",
                                      broker.config_path)
                self.assertEqual(checked.code, 2, checked)
                self.assertIn(says, checked.errors)

    def test_a_listener_beyond_loopback_is_no_longer_called_open(self):
        made = certificates.Certificates(harness.temp_dir())
        made.authority("ca")
        made.make("server", "ca")
        broker = harness.Broker(config=config(made, '[network]\nbind = "0.0.0.0:0"\n'))
        told = harness.run(harness.program("lance"), "--check", "--config", broker.config_path)
        self.assertEqual(told.code, 0, told)
        self.assertNotIn("network.bind", told.errors)


if __name__ == "__main__":
    harness.main()
