#!/usr/bin/env python3
"""Compares the binary interface with tests/c_api/abi.txt: the symbols of each library, sizes, places, numbers.

    abi_check.py HEADER ABI_PROGRAM LIBRARY...          says what differs, and fails
    abi_check.py --write HEADER ABI_PROGRAM LIBRARY...  writes it anew

What stands in the file may not change, only be added to: programs that were compiled earlier rely on it. The header must
declare each function, and say of each what it returns, to which threads, and since when; and each declared name must be
printed by the program, so that nothing is forgotten.
"""
import os
import re
import subprocess
import sys

STORED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "abi.txt")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def symbols(library):
    """Whatever a linker could find there, whoever made it."""
    option = "-D" if library.endswith(".so") else "-g"
    names = [line.split() for line in output("nm", option, "--defined-only", library).splitlines()]
    found = sorted(re.sub("@.*", "", words[2]) for words in names if len(words) == 3)
    return [name for name in found if name != "TUNPROXY_1"]  # the version itself


def declared(header):
    """Functions, enumerators, and structs with their fields."""
    text = re.sub(r"/\*.*?\*/", "", open(header, encoding="utf-8").read(), flags=re.DOTALL)
    functions = sorted(re.findall(r"^TUNPROXY_API [^;(]*\b(tunproxy_\w+)\(", text, re.MULTILINE))
    enumerators = re.findall(r"\b(TUNPROXY_[A-Z_]+) = \d+", text)
    structs = []
    for name, body in re.findall(r"^typedef struct (\w+) {(.*?)^} \1;", text, re.MULTILINE | re.DOTALL):
        fields = re.findall(r"\(\*(\w+)\)\(|(\w+)(?:\[\d+\])*;", re.sub(r"(\(\*\w+\)\().*?\);", r"\1", body, flags=re.DOTALL))
        structs += [f"{name}: ", *(f"{name}.{pointer or field} at " for pointer, field in fields)]
    return functions, enumerators, structs


def undocumented(header):
    """Of each function; doxygen looks after the parameters."""
    text = open(header, encoding="utf-8").read()
    pairs = re.findall(r"/\*\*((?:(?!\*/).)*)\*/\nTUNPROXY_API [^;(]*\b(tunproxy_\w+)\(", text, re.DOTALL)
    return [f"{name}: @{word} is missing" for comment, name in pairs for word in ("return", "thread", "since")
            if f"@{word} " not in comment] + ["no functions" for _ in range(len(pairs) == 0)]


def main(arguments):
    write = arguments[:1] == ["--write"]
    header, program, *libraries = arguments[1 if write else 0:]
    functions, enumerators, structs = declared(header)
    printed = output(program)
    wanted = [f"{name} = " for name in enumerators] + structs
    problems = [f"add it to abi.c: {name}" for name in wanted if name not in printed]
    problems += undocumented(header)
    for library in libraries:
        found = symbols(library)
        problems += [f"{library} shows {name}" for name in found if name not in functions]
        problems += [f"{library} lacks {name}" for name in functions if name not in found]
    interface = "".join(f"{name}()\n" for name in functions) + printed
    if write:
        open(STORED, "w", encoding="utf-8").write(interface)
    stored = open(STORED, encoding="utf-8").read()
    problems += [f"not in {STORED}: {line}" for line in interface.splitlines() if line not in stored.splitlines()]
    problems += [f"changed, or gone: {line}" for line in stored.splitlines() if line not in interface.splitlines()]
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
