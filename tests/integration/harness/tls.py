"""Certificates made for one test run, and addresses that are talked to over TLS."""

import os
import ssl
import subprocess

import pytest

KEYS = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["rsa:2048"]}


class Pair:
    """A self-signed certificate for localhost and its key, as files in `directory`."""

    def __init__(self, directory, name, kind="ec"):
        self.cert, self.key = (os.path.join(directory, f"{name}.{end}") for end in ("crt", "key"))
        subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-newkey", *KEYS[kind], "-keyout", self.key, "-out", self.cert],
                       check=True, capture_output=True)

    @property
    def settings(self):
        return {"cert": self.cert, "key": self.key}

    def der(self):
        with open(self.cert, encoding="ascii") as file:
            return ssl.PEM_cert_to_DER_cert(file.read())


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Of the gateway."""
    return Pair(tmp_path_factory.mktemp("pair"), "one")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Of somebody else."""
    return Pair(tmp_path_factory.mktemp("other"), "two")


def client(*pairs, version=None):
    """A client's context that trusts these certificates alone, and speaks one version if told."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for pair in pairs:
        context.load_verify_locations(pair.cert)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class Address(tuple):
    """(host, port) that http.connect, and all that goes by it, talks TLS to."""

    def __new__(cls, address, context):
        self = super().__new__(cls, address)
        self.context = context
        return self

    def wrap(self, sock):
        """The handshake. An end without close_notify is an error to whoever reads."""
        try:
            return self.context.wrap_socket(sock, server_hostname="localhost",
                                            suppress_ragged_eofs=False)
        except BaseException:
            sock.close()
            raise
