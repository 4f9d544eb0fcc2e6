"""The configuration: aliases of ssh_config, --config, --print-config, and which of them wins."""

import contextlib
import os
import pwd

from scenarios_cli import expect
from world import check


@contextlib.contextmanager
def home_at(directory):
    """root's home, for ssh, which asks the accounts and not HOME. /etc is this run's own."""
    with open("/etc/passwd", encoding="utf-8") as file:
        accounts = file.read()
    root = pwd.getpwuid(0)
    mine = accounts.replace(f":{root.pw_gecos}:{root.pw_dir}:", f":{root.pw_gecos}:{directory}:")
    try:
        write("/etc/passwd", mine, 0o644)
        yield
    finally:
        write("/etc/passwd", accounts, 0o644)


def write(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def settings(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def alias(world, more=""):
    return (f"Host box\n  HostName 10.77.1.1\n  User root\n  IdentityFile {world.path('user_key')}\n"
            f"  UserKnownHostsFile {world.path('known_hosts')}\n  StrictHostKeyChecking yes\n{more}")


def test_alias_of_the_users_ssh_config(world):
    """`tunproxy --ssh box` with nothing but ~/.ssh/config."""
    os.mkdir(world.path(".ssh"), 0o700)
    write(world.path(".ssh/config"), "Include more\n")
    write(world.path(".ssh/more"), alias(world))
    with home_at(world.directory):
        curl = world.tunproxy("--ssh", "box", "--", "curl", "-sS", "--max-time", "60", "http://web.test/")
        check(curl.wait() == 0 and curl.output().startswith("hello"), curl.err())
        expect(world.tunproxy("--ssh", "box", "--ssh-config", "none", "--", "true"), 5, "box")
        write(world.path(".ssh/more"), alias(world, "  Nonsense yes\n"))
        expect(world.tunproxy("--ssh", "box", "--", "true"), 2, "box", "more", "line 7", "Bad configuration option")


def test_ssh_config_is_overridden(world):
    """The command line over --config over ssh_config, each needed for the login to work."""
    write(world.path("ssh_config"), "Host box\n  HostName 10.77.1.1\n  User nobody\n  Port 1\n"
          f"  UserKnownHostsFile {world.path('other_known_hosts')}\n  IdentityFile {world.path('stranger_key')}\n")
    write(world.path("my.toml"), f"ssh = 'root@box:22'\nssh_config = '{world.path('ssh_config')}'\n"
          f"known-hosts = ['{world.path('known_hosts')}']\nidentity = ['{world.path('stranger_key')}']\n"
          "host-key-policy = 'strict'\nlog-level = 'error'\n")
    refused = world.tunproxy("--config", world.path("my.toml"), "--", "true")
    check(refused.wait() == 4, f"a stranger's key: {refused.err()}")
    curl = world.tunproxy("--config", world.path("my.toml"), "--identity", world.path("user_key"), "--", "curl", "-sS",
                          "--max-time", "60", "http://web.test/")
    check(curl.wait() == 0 and curl.output().startswith("hello"), curl.err())


def test_what_ssh_config_asks_and_is_not_done(world):
    """StrictHostKeyChecking no is said not to be honoured, once, and an unknown key is refused."""
    write(world.path("ssh_config"), alias(world).replace("known_hosts", "empty_known_hosts").replace("Checking yes", "Checking no"))
    program = world.tunproxy("--ssh", "box", "--ssh-config", world.path("ssh_config"), "--", "true")
    check(program.wait() == 3, program.err())
    check(program.err().count("StrictHostKeyChecking no") == 1, program.err())


def test_print_config(world):
    """What is shown can be read back, shows the same again, and works."""
    write(world.path("ssh_config"), alias(world))
    write(world.path("secret.toml"), "ssh-password = 'do not show'\n")
    shown = world.tunproxy("--config", world.path("secret.toml"), "--ssh", "box", "--ssh-config", world.path("ssh_config"),
                           "--log-level", "warn", "--rule", "deny 10.0.0.0/8", "--print-config")
    check(shown.wait() == 0, shown.err())
    text = shown.output()
    for part in ('ssh = "box"', 'rule = ["deny 10.0.0.0/8"]', "mtu = 1500", "# ssh-password is set",
                 "# SSH server root@10.77.1.1:22", world.path("user_key")):
        check(part in text, f"{part} is not in:\n{text}")
    check("do not show" not in text + shown.err(), "the secret is shown")
    write(world.path("shown.toml"), text)
    again = world.tunproxy("--config", world.path("shown.toml"), "--print-config")
    check(again.wait() == 0, again.err())
    check(settings(again.output()) == settings(text), again.output())
    works = world.tunproxy("--config", world.path("shown.toml"), "--", "true")
    check(works.wait() == 0, works.err())


def test_config_errors(world):
    write(world.path("bad.toml"), "ssh = 'box'\n\nidentiy = ['x']\n")
    expect(world.tunproxy("--config", world.path("bad.toml")), 2, "bad.toml:3", "identiy", "is 'identity' meant?")
    write(world.path("bad.toml"), "mtu = '1500'\n")
    expect(world.tunproxy("--config", world.path("bad.toml")), 2, "bad.toml:1", "mtu: it must be a number")
    expect(world.tunproxy("--config", world.path("none.toml")), 2, "none.toml")
    write(world.path("open.toml"), "ssh-password = 'x'\n", 0o644)
    warned = world.tunproxy("--config", world.path("open.toml"), "--ssh", "box", "--print-config")
    check(warned.wait() == 0 and "chmod 600" in warned.err(), warned.err())
