"""A certificate that a camera signs itself, as cameras do."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edgevision.errors import DeviceError


def make_certificate(folder: Path, name: str = "127.0.0.1") -> tuple[Path, Path]:
    """Files in ``folder``: the certificate with its key, for the camera, and the certificate alone, for who is to trust it.

    ``name``: the address it is for. Raises DeviceError where the program ``openssl`` is missing or fails.
    """
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "camera.pem"
    kind = "IP" if name.replace(".", "").isdigit() else "DNS"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-keyout", str(key), "-out",
        str(certificate), "-subj", f"/CN={name}", "-addext", f"subjectAltName={kind}:{name}",
    ]  # fmt: skip
    try:
        subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise DeviceError(
            "a camera's certificate needs the program openssl; install it, or give a certificate"
        ) from None
    key.chmod(0o600)
    both.touch(mode=0o600)
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    return both, certificate
