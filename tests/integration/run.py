"""Runs scenarios by name and counts them. Started by run.sh, as the first process of a PID namespace."""

import argparse
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import scenarios_cli
import scenarios_config
import scenarios_cuts
import scenarios_flows
import scenarios_isolate
import scenarios_java
import scenarios_library
import scenarios_limits
import scenarios_machine
import scenarios_moves
import scenarios_names
import scenarios_resolved
import scenarios_servers
import scenarios_rules
import scenarios_socks
import scenarios_status
import scenarios_tls
import scenarios_trouble
import scenarios_udp
import scenarios_udp_helper
import scenarios_udp_line
import scenarios_udp_names
import scenarios_udp_programs
import scenarios_udp_quic
import scenarios_udpgw
import scenarios_ways
import world

MODULES = [module for name, module in list(globals().items()) if name.startswith("scenarios_")]


def all_scenarios():
    """Every function of the scenario modules whose name begins with test_, in the order of the files."""
    found = {}
    for module in MODULES:
        for name, function in vars(module).items():
            if name.startswith("test_"):
                found[name.removeprefix("test_")] = function
    return found


def run_one(name, function, keep):
    began = time.monotonic()
    try:
        with world.World(name, **getattr(function, "world", {})) as built:
            function(built)
        problem = None
    except world.Failure as failure:
        problem = str(failure)
    except Exception:
        problem = traceback.format_exc()
    took = time.monotonic() - began
    print(f"{'ok  ' if problem is None else 'FAIL'} {name} ({took:.1f} s)", flush=True)
    if problem is not None:
        print("\n".join("     " + line for line in problem.rstrip().splitlines()), flush=True)
        if keep:
            print("     its files are in " + world.last_directory(), flush=True)
    return problem is None


def main():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__)
    parser.add_argument("--list", action="store_true", help="list the names")
    parser.add_argument("--sanitized", action="store_true", help="smaller volumes; sanitizer reports fail")
    parser.add_argument("--keep", action="store_true", help="keep the files of failed scenarios")
    parser.add_argument("--except", action="append", default=[], metavar="NAME", dest="left_out", help="all but this")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    scenarios = all_scenarios()
    if arguments.list:
        print("\n".join(scenarios))
        return 0
    unknown = [name for name in arguments.names + arguments.left_out if name not in scenarios]
    if unknown:
        parser.error("no such scenario: " + " ".join(unknown))
    world.prepare_machine(sanitized=arguments.sanitized, keep=arguments.keep)
    names = arguments.names or [name for name in scenarios if name not in arguments.left_out]
    failed = [name for name in names if not run_one(name, scenarios[name], arguments.keep)]
    if failed:
        print("once more:", flush=True)  # a busy machine is no defect
    again = [name for name in failed if not run_one(name, scenarios[name], arguments.keep)]
    print(f"{len(names) - len(again)} passed, {len(failed) - len(again)} of them at the second try; {len(again)} failed",
          flush=True)
    return 1 if again else 0


if __name__ == "__main__":
    sys.exit(main())
