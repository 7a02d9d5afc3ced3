#!/usr/bin/env python3
"""Signs in with a key that stays where it is, and prints the machine actions of the tenant.

    signer.py --tpm 0x81000001 --certificate agent.pem
    signer.py --key agent-key.pem --certificate agent.pem

The first signs with a key in a TPM, through the program tpm2_sign (Debian: tpm2-tools). The second shows how a key of
the package cryptography signs; keys of its other sources sign in the same way. Tenant, application and other options
come from the environment: MDE_TENANT_ID, MDE_CLIENT_ID, and MDE_OPTIONS, a JSON object (docs/options.md).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import mde


def signer_of_tpm(handle: str) -> mde.Signer:
    """A key in the TPM. The variable TPM2TOOLS_TCTI names the TPM."""

    def sign(request: mde.SigningRequest) -> bytes:
        scheme = {"PS256": "rsapss", "RS256": "rsassa"}[request.algorithm]
        with tempfile.TemporaryDirectory() as folder:
            data, signature = os.path.join(folder, "data"), os.path.join(folder, "signature")
            with open(data, "wb") as file:
                file.write(request.data)
            command = ["tpm2_sign", "-c", handle, "-g", "sha256", "-s", scheme, "-f", "plain", "-o", signature, data]
            subprocess.run(command, check=True, stderr=subprocess.PIPE, timeout=request.time_left)
            with open(signature, "rb") as file:
                return file.read()

    return sign


def signer_of_cryptography(path: str) -> mde.Signer:
    """A key of the package cryptography."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        with open(path, "rb") as file:
            key = serialization.load_pem_private_key(file.read(), password=None)
    except TypeError:
        # Its words are about arguments of that function.
        sys.exit("signer.py: %s is encrypted; this program takes no password" % path)
    except ValueError:
        sys.exit("signer.py: %s is no private key in PEM" % path)
    if not isinstance(key, rsa.RSAPrivateKey):
        sys.exit("signer.py: %s is no RSA key" % path)
    rsa_key = key

    def sign(request: mde.SigningRequest) -> bytes:
        if request.algorithm == "PS256":
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
            return rsa_key.sign(request.data, pss, hashes.SHA256())
        return rsa_key.sign(request.data, padding.PKCS1v15(), hashes.SHA256())

    return sign


def setting(name: str) -> str:
    """A variable that must be set."""
    value = os.environ.get(name)
    if not value:
        sys.exit("signer.py: %s is not set" % name)
    return value


def main() -> int:
    parser = argparse.ArgumentParser(description="Signs in with a key that stays where it is.")
    parser.add_argument("--certificate", required=True, help="the key's certificate, in PEM")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--tpm", metavar="HANDLE", help="a persistent handle of the TPM, for example 0x81000001")
    where.add_argument("--key", metavar="FILE", help="a key in PEM, for the package cryptography")
    chosen = parser.parse_args()
    try:
        signer = signer_of_tpm(chosen.tpm) if chosen.tpm else signer_of_cryptography(chosen.key)
        options = json.loads(os.environ.get("MDE_OPTIONS", "{}"))
        options.update(
            tenant_id=setting("MDE_TENANT_ID"),
            client_id=setting("MDE_CLIENT_ID"),
            client_certificate=chosen.certificate,
        )
        with mde.Client(options, signer=signer) as client:
            print(json.dumps(client.list_actions()))
    except mde.MdeError as error:
        problem = error.message
    except json.JSONDecodeError as error:
        problem = "MDE_OPTIONS is no JSON: %s" % error
    except subprocess.CalledProcessError as error:
        # The lines of the program itself. The others are of the layers below it.
        said = [line for line in error.stderr.decode("utf-8", "replace").splitlines() if line.startswith("ERROR: ")]
        problem = "tpm2_sign failed; check --tpm and TPM2TOOLS_TCTI: %s" % " ".join(said[:1])
    except (OSError, ImportError, subprocess.TimeoutExpired) as error:
        # A file that cannot be read, no tpm2_sign, no cryptography, a TPM that does not answer.
        problem = str(error)
    else:
        return 0
    print("signer.py: %s" % problem, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
