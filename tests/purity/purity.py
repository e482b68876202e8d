"""Fails when an archive of a pure folder needs a symbol outside a short list,
or holds a mutable global.

    purity.py folder=archive.a ...
"""

import re
import subprocess
import sys

LIBC = {
    "memcpy", "memmove", "memset", "memcmp", "memchr", "strlen", "strnlen",
    "strcmp", "strncmp", "strchr", "abort",
    "__assert_fail", "__stack_chk_fail",
    # What the compiler makes of the above with fortification.
    "__memcpy_chk", "__memmove_chk", "__memset_chk",
}
# base/alloc.c is where kad_allocator_default names them.
ALLOCATOR = {"malloc", "realloc", "free"}
# libcrypto, in the two folders that are allowed to use it. Nothing that draws
# entropy (RAND_), does input or output (BIO_), or reads files is on the list,
# but for the few by which OpenSSL is made to draw from a kad_random.
CRYPTO = re.compile(
    r"^(EVP|BN|EC|ECDSA|RSA|OSSL|OPENSSL|CRYPTO|d2i|i2d|SHA256|X509|ASN1|ERR|"
    r"OBJ|DSA)_?\w*$"
    r"|^RAND_(get0_primary|set_DRBG_type|set_seed_source_type)$"
    # TLS between memory and memory: a BIO of our own, nobody else's.
    r"|^(SSL_\w+|TLS_method|BIO_(new|meth_\w+|[gs]et_data|set_init|"
    r"(set|clear)_flags))$"
    r"|^crypto_(stream_xsalsa20_xor_ic|sign_ed25519_verify_detached)$")
CRYPTO_FOLDERS = {"identity", "connection"}
# A sanitized build adds its own, under these names.
COMPILER = re.compile(r"^(__(asan|ubsan|sanitizer|tsan|lsan|odr_asan)\w*|_GLOBAL_OFFSET_TABLE_)")
# Sections that can be written to while the program runs; .data.rel.ro holds
# constants that only the loader fills in.
MUTABLE = re.compile(r"^\.(data(?!\.rel\.ro)|bss|tdata|tbss)|^\*COM\*$")
SYMBOL = re.compile(r"^[0-9a-f]+ (.{7}) (\S+)\s+[0-9a-f]+ +(?:\.\w+ )?(\S+)$")


def symbols(archive):
    """(undefined, defined, mutable) names of an archive."""
    text = subprocess.run(["objdump", "-t", archive], check=True, text=True,
                          capture_output=True).stdout
    undefined, defined, mutable = set(), set(), set()
    for line in text.splitlines():
        match = SYMBOL.match(line)
        if not match:
            continue
        flags, section, name = match.groups()
        if section == "*UND*":
            undefined.add(name)
            continue
        defined.add(name)
        if ("O" in flags and MUTABLE.match(section)
                and not COMPILER.match(name)):
            mutable.add(name)
    return undefined - defined, defined, mutable


def allowed(folder, name, ours):
    return (name in ours or name in LIBC or COMPILER.match(name)
            or (folder == "base" and name in ALLOCATOR)
            or (folder in CRYPTO_FOLDERS and CRYPTO.match(name)))


def main(arguments):
    archives = dict(a.split("=", 1) for a in arguments)
    found = {folder: symbols(path) for folder, path in archives.items()}
    ours = set().union(*(defined for _, defined, _ in found.values()))
    faults = 0
    for folder, (undefined, _, mutable) in sorted(found.items()):
        for name in sorted(undefined):
            if not allowed(folder, name, ours):
                print(f"{folder}/ needs {name}")
                faults += 1
        for name in sorted(mutable):
            print(f"{folder}/ holds the mutable global {name}")
            faults += 1
    print(f"{len(archives)} folders, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
