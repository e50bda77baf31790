"""Certificates for the tests, made on the spot by openssl's command line: an authority and what it
signs, as files in one directory."""

import os
import shutil
import subprocess
import unittest


def need_openssl():
    if not shutil.which("openssl"):
        raise unittest.SkipTest("the openssl command is missing")


class Certificates:
    """Files `<name>.crt` and `<name>.key` below `directory`."""

    def __init__(self, directory):
        need_openssl()
        self.directory = directory
        self._serial = 1

    def path(self, file_name):
        return os.path.join(self.directory, file_name)

    def _run(self, *words, stdin=b""):
        subprocess.run(["openssl", *words], input=stdin, check=True, capture_output=True)

    def authority(self, name):
        self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                  "-keyout", self.path(name + ".key"), "-out", self.path(name + ".crt"), "-days",
                  "30", "-subj", "/CN=" + name)
        return name

    def make(self, name, issuer, names="DNS:localhost,IP:127.0.0.1", begin=None, end=None,
             into=None):
        """A certificate of `issuer` (None: of itself). begin, end: 'YYYYMMDDHHMMSSZ'. `into`: the
        name of the files, when they are to take another's place."""
        key, request = self.path(name + ".key"), self.path(name + ".csr")
        self._run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                  "-keyout", key, "-out", request, "-subj", "/CN=" + name)
        extensions = self.path(name + ".ext")
        with open(extensions, "w", encoding="ascii") as file:
            file.write("[ext]\nbasicConstraints=CA:FALSE\nsubjectAltName=" + names + "\n")
        self._serial += 1
        signer = issuer or name
        if begin or end:
            self._sign_by_ca(request, name, signer, extensions, begin, end)
        else:
            own = (["-signkey", key] if issuer is None else
                   ["-CA", self.path(signer + ".crt"), "-CAkey", self.path(signer + ".key"),
                    "-set_serial", str(self._serial)])
            self._run("x509", "-req", "-in", request, "-days", "30", "-out",
                      self.path(name + ".crt"), "-extfile", extensions, "-extensions", "ext", *own)
        if into:
            for ending in (".key", ".crt"):
                os.replace(self.path(name + ending), self.path(into + ending))
        return name

    def _sign_by_ca(self, request, name, signer, extensions, begin, end):
        """`openssl ca` is the command that takes any dates."""
        config = self.path(name + ".cnf")
        for file_name in ("index.txt", "index.txt.attr"):
            with open(self.path(file_name), "w", encoding="ascii"):
                pass
        with open(self.path("serial"), "w", encoding="ascii") as file:
            file.write(f"{self._serial + 1000:08X}\n")
        with open(config, "w", encoding="ascii") as file:
            file.write(f"[ca]\ndefault_ca=d\n[d]\ndir={self.directory}\ndatabase=$dir/index.txt\n"
                       f"serial=$dir/serial\nnew_certs_dir=$dir\ndefault_md=sha256\npolicy=p\n"
                       f"unique_subject=no\n[p]\ncommonName=supplied\n")
        self._run("ca", "-batch", "-config", config, "-in", request, "-out",
                  self.path(name + ".crt"), "-cert", self.path(signer + ".crt"), "-keyfile",
                  self.path(signer + ".key"), "-extfile", extensions, "-extensions", "ext",
                  "-startdate", begin or "20200101000000Z", "-enddate", end or "20400101000000Z",
                  "-notext")
