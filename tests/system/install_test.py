"""What `cmake --install` leaves, as a stranger's project meets it: headers that stand alone, a library
that shows only its own names, and the examples built four ways, each against a live broker."""

import os
import re
import shutil
import subprocess
import unittest

import certificates
import harness
from auth_test import Access

FOREIGN = re.compile(r"(^|/)(caf|openssl|spdlog|prometheus|nlohmann)/|liburing|isa-l|/lz4|/zstd")
STRANGERS = re.compile(r"lib(caf|uring|spdlog|prometheus|numa|civetweb)")


def run(*words, cwd=None, env=None):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd=cwd,
                          env={**os.environ, **(env or {})}, timeout=240, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


class Installed(harness.Test):
    @classmethod
    def setUpClass(cls):
        for tool in ("cmake", "pkg-config", "g++"):
            if not shutil.which(tool):
                raise unittest.SkipTest(tool + " is missing")
        cls.root = harness.temp_dir()
        # Built in one place and moved to another: nothing in it may know where it was.
        first, cls.prefix = os.path.join(cls.root, "first"), os.path.join(cls.root, "there")
        run("cmake", "--install", harness.bindir(), "--prefix", first)
        os.rename(first, cls.prefix)
        cls.lib = os.path.dirname(cls.files("liblance_client.a")[0])
        cls.examples = os.path.join(harness.source_dir(), "client", "examples")
        cls.broker = harness.Broker()
        cls.broker.start()

    @classmethod
    def tearDownClass(cls):
        if cls.broker.stop() != 0:
            raise AssertionError("SIGTERM ended badly\n" + cls.broker.log_tail())

    @classmethod
    def files(cls, name):
        return [os.path.join(where, each) for where, _, names in os.walk(cls.prefix)
                for each in names if each == name]

    def built(self, name):
        return os.path.join(self.root, name)

    def server(self):
        return "%s:%d" % self.broker.address()

    def round_trip(self, directory, topic, env=None):
        sent = [f"record {n} of {topic}" for n in range(3)]
        told = run(os.path.join(directory, "produce"), self.server(), topic, *sent, env=env)
        self.assertEqual(told, "3 acknowledged\n")
        read = run(os.path.join(directory, "consume"), self.server(), topic, env=env)
        self.assertEqual(read.splitlines(), sent)

    def cmake(self, name, *options):
        directory = self.built(name)
        run("cmake", "-S", self.examples, "-B", directory, "-G", "Ninja",
            "-DCMAKE_PREFIX_PATH=" + self.prefix, *options)
        run("cmake", "--build", directory)
        return directory

    def pkg_config(self, name, package):
        directory = self.built(name)
        os.mkdir(directory)
        flags = run("pkg-config", "--cflags", "--libs", package,
                    env={"PKG_CONFIG_PATH": os.path.join(self.lib, "pkgconfig")}).split()
        for example in ("produce", "consume"):
            run("g++", os.path.join(self.examples, example + ".cpp"), "-o",
                os.path.join(directory, example), *flags)
        return directory

    def needs(self, program):
        return run("ldd", program, env={"LD_LIBRARY_PATH": self.lib})

    def test_cmake_shared(self):
        directory = self.cmake("cmake-shared")
        self.assertIn("liblance_client.so.", self.needs(os.path.join(directory, "produce")))
        self.round_trip(directory, "cmake-shared")
        told = run(os.path.join(directory, "asynchronous"), self.server(), "cmake-shared", 40)
        self.assertEqual(told, "20 by callback, 20 by future\n")
        told = run(os.path.join(directory, "coroutine"), self.server(), "coroutine", 30)
        self.assertEqual(told, "30 there and back\n")
        self.secure(os.path.join(directory, "secure"))

    def test_cmake_static(self):
        directory = self.cmake("cmake-static", "-DSTATIC=ON")
        self.assertNotIn("liblance", self.needs(os.path.join(directory, "produce")))
        self.round_trip(directory, "cmake-static")

    def test_pkg_config_shared(self):
        directory = self.pkg_config("pc-shared", "lance")
        self.assertIn("liblance_client.so.", self.needs(os.path.join(directory, "produce")))
        self.round_trip(directory, "pc-shared", {"LD_LIBRARY_PATH": self.lib})

    def test_pkg_config_static(self):
        directory = self.pkg_config("pc-static", "lance-static")
        self.assertNotIn("liblance", self.needs(os.path.join(directory, "produce")))
        self.round_trip(directory, "pc-static")

    def secure(self, program):
        root = harness.temp_dir()
        made = certificates.Certificates(root)
        made.authority("ca")
        made.make("server", "ca")
        access = Access(root)
        for name in ("right", "wrong"):
            with open(os.path.join(root, name), "w", encoding="ascii") as file:
                file.write((access.token("app") if name == "right" else "nonsense") + "\n")
        tls = f'[tls]\ncert = "{made.path("server.crt")}"\nkey = "{made.path("server.key")}"\n'
        with harness.Broker(config=access.config(with_rules=False, extra=tls), root=root) as broker:
            def call(token):
                return subprocess.run([program, "%s:%d" % broker.address(), "secret",
                                       made.path("ca.crt"), os.path.join(root, token)],
                                      capture_output=True, text=True, timeout=60, check=False)

            done = call("right")
            self.assertEqual((done.returncode, done.stdout), (0, "over TLS\n"), done.stderr)
            done = call("wrong")
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn("NOT_AUTHENTICATED", done.stderr)

    def test_headers_stand_alone_and_know_nothing_of_what_is_inside(self):
        include = os.path.join(self.prefix, "include")
        headers = [os.path.relpath(os.path.join(where, name), include)
                   for where, _, names in os.walk(include) for name in names]
        self.assertIn("lance/client.hpp", headers)
        self.assertGreater(len(headers), 20)
        source = self.built("alone.cpp")
        for header in headers:
            with open(source, "w", encoding="ascii") as file:
                file.write(f"#include <{header}>\n")
            # Their own names only: nothing is found beside the prefix and the system.
            seen = run("g++", "-std=c++20", "-M", "-I", include, source)
            for path in seen.split():
                self.assertIsNone(FOREIGN.search(path.removeprefix("/usr/include/")),
                                  f"{header} includes {path}")
        with open(source, "w", encoding="ascii") as file:
            file.writelines(f"#include <{header}>\n" for header in sorted(headers))
            file.write("int main() {}\n")
        run("g++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", include, source)

    def test_the_library_shows_its_own_names_only(self):
        library = os.path.join(self.lib, "liblance_client.so")
        shown = run("nm", "-DC", "--defined-only", library).splitlines()
        names = [line.split(maxsplit=2)[2] for line in shown if len(line.split(maxsplit=2)) == 3]
        self.assertTrue(any("lance::client::producer::send" in name for name in names))
        self.assertEqual([name for name in names if "lance::" not in name], [])
        self.assertIsNone(STRANGERS.search(run("ldd", library)))
        self.assertIn("liblance_client.so.0.1", run("objdump", "-p", library))

    def test_programs_and_files(self):
        for name in ("lance", "lnc"):
            (program,) = [each for each in self.files(name) if os.access(each, os.X_OK)]
            self.assertIn("0.1.0", run(program, "--version"))
        (file,) = self.files("lance.toml")
        run(self.files("lance")[0] if os.access(self.files("lance")[0], os.X_OK) else "lance",
            "--config", file, "--check")
        self.assertEqual(len(self.files("lance.service")), 1)
        self.assertEqual(len(self.files("LICENSE")), 1)
        for path in self.files("lance.pc") + self.files("lanceTargets.cmake"):
            with open(path, encoding="utf-8") as text:
                self.assertNotIn(harness.source_dir(), text.read(), "a place of the build")


if __name__ == "__main__":
    harness.main()
