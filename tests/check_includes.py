#!/usr/bin/env python3
"""Fails when an #include points the wrong way.

Each layer may include itself and the layers that ALLOWED names for it. Some libraries belong to one
layer alone. With --self-test it checks that it finds wrong includes.
"""

import argparse
import pathlib
import re
import sys
import tempfile

CORE = ["core/base", "core/net", "core/io"]
PROTOCOLS = CORE + ["core/socks5", "core/ssh", "core/dns", "core/udp", "core/rules", "core/tls",
                    "core/account", "core/gate", "core/control", "core/http"]

# Layer -> the layers it may include besides itself. The longest matching folder is a file's layer.
ALLOWED = {
    "core/base": [],
    "core/net": ["core/base"],
    "core/io": ["core/base", "core/net"],
    "core/socks5": CORE,
    "core/ssh": CORE,
    "core/dns": CORE,
    "core/rules": ["core/base"],
    "core/account": CORE + ["core/rules"],
    "core/gate": CORE + ["core/rules", "core/account", "core/dns"],
    "core/control": CORE + ["core/rules", "core/account"],
    "core/tls": CORE,
    "core/http": CORE + ["core/tls"],
    "core/udp": CORE + ["core/socks5", "core/ssh", "core/dns", "core/rules"],
    "core": PROTOCOLS + ["tun2socks"],
    "tun2socks": CORE,
    "platform": PROTOCOLS + ["core", "tun2socks"],
    "bindings": PROTOCOLS + ["core", "tun2socks", "platform"],
    "tools": PROTOCOLS + ["core", "tun2socks", "platform", "bindings"],
    # Measurements are no part of the product and may stand on the tests' fixtures.
    "tools/bench": PROTOCOLS + ["tests"],
    "tests": PROTOCOLS + ["core", "tun2socks", "platform", "bindings", "tools"],
}

# Library headers -> the only folders that may include them.
OWNED = {
    r"uv(/.*|\.h)": ["core/io"],
    r"(libssh2.*|tunproxy_ssh2)\.h": ["core/ssh", "tests", "tools/bench"],
    r"(lwip|netif)/.*": ["tun2socks", "tests"],
    r"(linux|netlink|libnl.*)/.*": ["platform", "tests", "tools/bench"],
    r"spdlog/.*": ["core/base"],
    r"CLI/.*": ["tools"],
    r"toml\+\+/.*": ["core/config"],
    r"prometheus/.*": ["core/control"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SUFFIXES = {".h", ".hh", ".hpp", ".c", ".cc", ".cpp"}


def layer_of(path):
    """The layer of a file or of an include; None for one that is no layer's."""
    folders = [name for name in ALLOWED if path.startswith(name + "/")]
    return max(folders, key=len, default=None)


def problem(path, bracket, included):
    for pattern, owners in OWNED.items():
        if re.fullmatch(pattern, included):
            if any(path.startswith(owner) for owner in owners):
                return None
            return f"<{included}> belongs to {', '.join(owners)}"
    if bracket == "<":
        return None
    layer, target = layer_of(path), layer_of(included)
    if target is None:
        return f'"{included}" is not a full path'
    if target != layer and target not in ALLOWED[layer]:
        return f'{layer} may not include {target} ("{included}")'
    return None


def check(root):
    problems = []
    for top in sorted({name.split("/")[0] for name in ALLOWED}):
        for file in sorted((root / top).rglob("*")):
            if file.suffix not in SUFFIXES:
                continue
            path = file.relative_to(root).as_posix()
            if path.startswith(("bindings/examples/", "bindings/swift/")):  # programs of others, as it were
                continue
            for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
                match = INCLUDE.match(line)
                found = match and problem(path, *match.groups())
                if found:
                    problems.append(f"{path}:{number}: {found}")
    return problems


def self_test():
    wrong = {
        "core/base/a.h": '#include "core/io/loop.h"',
        "core/net/a.h": "#include <uv.h>",
        "core/socks5/a.cc": '#include "core/ssh/session.h"',
        "core/dns/a.cc": '  #  include "tun2socks/engine.h"',
        "core/tunnel.cc": '#include "platform/linux/tun.h"',
        "tun2socks/a.h": '#include "core/socks5/client.h"',
        "tun2socks/b.h": "#include <linux/if_tun.h>",
        "platform/a.h": "#include <lwip/tcp.h>",
        "tools/a.cc": '#include "options.h"',
        "tools/tunproxy/a.cc": '#include "tests/support/sshd.h"',
    }
    right = {
        "core/io/a.cc": '#include <uv.h>\n#include "core/net/stream.h"\n// #include "tools/x.h"',
        "core/tunnel.h": '#include "core/ssh/session.h"\n#include "core/config.h"',
        "tun2socks/c.cc": '#include <lwip/tcp.h>\n#include "core/io/loop.h"',
        "tools/bench/a.cc": '#include "tests/support/sshd.h"',
        "tests/unit/a.cc": '#include "core/ssh/session.h"\n#include <gtest/gtest.h>',
    }
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, text in {**wrong, **right}.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
        found = {line.split(":")[0] for line in check(root)}
    assert found == set(wrong), f"missed {set(wrong) - found}, wrongly found {found - set(wrong)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", default=pathlib.Path(__file__).parent.parent)
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    problems = check(pathlib.Path(arguments.root))
    print("\n".join(problems) if problems else "All includes point the right way.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
