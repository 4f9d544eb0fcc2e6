#!/usr/bin/env python3
"""Builds the library alone, as for a phone: without what only the command line and the tests need, and loadable where
pages have 16 KB. Then a C program is linked to what was installed, and run.

    check.py SOURCE BUILD CMAKE_ARGUMENT…
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PAGE = 16384
NOT_NEEDED = ("libnl", "prometheus", "libCLI")


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout[-8000:]}")
    return done.stdout


def build(source, folder, arguments, scratch):
    """No package can be found but libuv, OpenSSL and what consists of headers."""
    shutil.copy(pathlib.Path(run("pkg-config", "--variable=pcfiledir", "libuv").strip()) / "libuv.pc", scratch)
    hidden = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("CLI11", "GTest", "Python3", "prometheus-cpp")]
    run("cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DTUNPROXY_LIBRARY_ONLY=ON",
        f"-DTUNPROXY_MAX_PAGE_SIZE={PAGE}", *hidden, *arguments, env={**os.environ, "PKG_CONFIG_LIBDIR": str(scratch)})
    run("cmake", "--build", folder)


def check_library(library):
    segments = [line.split() for line in run("readelf", "-lW", library).splitlines() if line.strip().startswith("LOAD")]
    aligned = [int(segment[-1], 16) for segment in segments]
    if not aligned or min(aligned) < PAGE:
        sys.exit(f"{library}: its segments are aligned to {aligned}, not {PAGE}")
    needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-dW", library))
    surplus = [name for name in needed if name.startswith(NOT_NEEDED)]
    if not needed or surplus:
        sys.exit(f"{library} needs {needed}")


def check_java(prefix):
    """The library that Java loads has one door, and its classes are where Java looks for them."""
    library, = prefix.glob("lib/**/libtunproxy_jni.so")
    doors = {line.split()[-1] for line in run("nm", "-D", "--defined-only", library).splitlines()}
    if doors != {"JNI_OnLoad"}:
        sys.exit(f"{library}: others see {sorted(doors)}")
    if not (prefix / "share/java/tunproxy.jar").exists():
        sys.exit(f"no share/java/tunproxy.jar: {[str(file) for file in prefix.rglob('*.jar')]}")


def check_program(source, prefix, scratch):
    """The example finds header and library where pkg-config says, and starts."""
    config = next(prefix.rglob("tunproxy.pc"))
    environment = {**os.environ, "PKG_CONFIG_PATH": str(config.parent)}
    flags = run("pkg-config", "--cflags", "--libs", "tunproxy", env=environment).split()
    program = scratch / "vpn"
    run("cc", "-o", program, source / "bindings/examples/vpn.c", *flags, f"-Wl,-rpath,{config.parent.parent}")
    started = subprocess.run([program], capture_output=True, text=True)
    if started.returncode != 2 or "usage" not in started.stderr:
        sys.exit(f"vpn: exit code {started.returncode}: {started.stderr}")


def main():
    source, folder, *arguments = sys.argv[1:]
    source, folder = pathlib.Path(source), pathlib.Path(folder)
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        build(source, folder, arguments, scratch)
        prefix = scratch / "prefix"
        run("cmake", "--install", folder, "--prefix", prefix)
        libraries = [file for file in prefix.rglob("*.so*") if not file.is_symlink()]
        if len(libraries) != 2:
            sys.exit(f"installed: {libraries}")
        for library in libraries:
            check_library(library)
        check_java(prefix)
        check_program(source, prefix, scratch)
        surplus = [file for file in prefix.rglob("*") if "bin" in file.parts]
        if surplus:
            sys.exit(f"installed as well: {surplus}")
    print("the library alone builds, and is aligned for pages of 16 KB")


if __name__ == "__main__":
    main()
