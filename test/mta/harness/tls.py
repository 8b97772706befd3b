# SPDX-License-Identifier: MIT
"""A certificate for a test server, made on the spot."""

import subprocess

from .server import need


def self_signed(directory, hostname):
    """Make key and certificate; returns the paths (certificate, key)."""
    [openssl] = need("openssl")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={hostname}",
         "-addext", f"subjectAltName=DNS:{hostname}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=60, cwd=directory)
    key.chmod(0o600)
    return certificate, key
