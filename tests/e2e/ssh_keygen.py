"""Stands in for OpenSSH's `ssh-keygen` where it is not installed: makes a key, and signs what it is given."""

import argparse
import sys
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import sshsig


def main() -> None:
    """Do `-t ed25519 -N "" -f FILE`, or `-Y sign -n NAMESPACE -f FILE < MESSAGE`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-q", action="store_true")
    for option in ("-t", "-N", "-Y", "-n"):
        parser.add_argument(option)
    parser.add_argument("-f", type=Path, required=True)
    asked = parser.parse_args()
    if asked.Y == "sign":
        key = serialization.load_ssh_private_key(asked.f.read_bytes(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError("an Ed25519 key is expected")
        sys.stdout.write(sshsig.sign(key, sys.stdin.buffer.read(), asked.n))
        return
    key = Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.OpenSSH
    asked.f.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    asked.f.with_name(f"{asked.f.name}.pub").write_text(f"{sshsig.public_half(key).written()} invented\n")


if __name__ == "__main__":
    main()
