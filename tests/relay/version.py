#!/usr/bin/env python3
"""The program that is sent to the server: Python 3.6 reads it, and it needs nothing but the standard library."""

import ast
import sys

OLDEST = (3, 6)

with open(sys.argv[1], encoding="ascii") as file:
    tree = ast.parse(file.read(), feature_version=OLDEST)
needed = set()
for node in ast.walk(tree):
    if isinstance(node, ast.Import):
        needed.update(name.name.partition(".")[0] for name in node.names)
    elif isinstance(node, ast.ImportFrom):
        needed.add(node.module.partition(".")[0])
strange = needed - sys.stdlib_module_names
assert needed and not strange, f"not of the standard library: {strange}"
